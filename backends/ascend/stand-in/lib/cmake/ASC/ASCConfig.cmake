# Stands in for CANN's package ASC: the language ASC, whose compiler is source/asc.js. See README.md.
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
set(ASC_FOUND TRUE)
