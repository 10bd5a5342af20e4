# Makes the Lua module's cdef.lua of the public header: cmake -DHEADER=… -DOUTPUT=… -P cdef.cmake
# What stands between the lines "cdef begin" and "cdef end" goes to ffi.cdef as it is.
file(READ "${HEADER}" text)
string(FIND "${text}" "/* cdef begin */" first)
string(FIND "${text}" "/* cdef end */" last)
if(first LESS 0 OR last LESS first)
  message(FATAL_ERROR "${HEADER}: no text between 'cdef begin' and 'cdef end'")
endif()
math(EXPR length "${last} - ${first}")
string(SUBSTRING "${text}" ${first} ${length} declarations)
file(WRITE "${OUTPUT}.new" "-- Generated from csrc/ffi/tsengine.h by the build: change that file.\nreturn [==[\n${declarations}]==]\n")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
