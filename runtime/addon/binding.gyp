{
  "targets": [
    {
      "target_name": "unmoor",
      "sources": ["src/addon.cc", "src/library.cc", "src/memory.cc", "src/run.cc"],
      "include_dirs": ["<!(node -e \"require('nan')\")"],
      # A C++ kernel host may throw; the addon turns that into an error instead of ending the process.
      "cflags_cc!": ["-fno-exceptions"],
      "cflags_cc": ["-fexceptions", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-cast-function-type"],
      "libraries": ["-ldl"],
    }
  ]
}
