set(CMAKE_ASC_COMPILER_ENV_VAR "ASC")
get_filename_component(stand_in "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_program(CMAKE_ASC_COMPILER asc HINTS "${stand_in}/bin" NO_DEFAULT_PATH REQUIRED)
configure_file("${CMAKE_CURRENT_LIST_DIR}/CMakeASCCompiler.cmake.in" "${CMAKE_PLATFORM_INFO_DIR}/CMakeASCCompiler.cmake" @ONLY)
