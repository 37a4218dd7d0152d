# A libtorch of another version than any that sp2dpo is built with.
add_library(torch INTERFACE IMPORTED)
set(Torch_FOUND TRUE)
