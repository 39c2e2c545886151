# cmake -DFOLDER=… -DOUTPUT=… -P embed.cmake: writes FOLDER/NN-slug.md into OUTPUT as C++ string literals.
file(GLOB files ${FOLDER}/[0-9][0-9]-*.md)
list(SORT files)
list(LENGTH files count)
set(rows "")
foreach(file IN LISTS files)
  get_filename_component(slug ${file} NAME_WE)
  string(REGEX REPLACE "^[0-9]+-" "" slug "${slug}")
  file(READ ${file} content)
  string(APPEND rows "    {\"${slug}\", R\"markdown(${content})markdown\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Written by embed.cmake from the files of server/tasks/sample_corpus.
#include \"server/tasks/sample_corpus/files.h\"

namespace aibackend::tasks {

const EmbeddedFile kEmbeddedFiles[] = {
${rows}};
const size_t kEmbeddedFileCount = ${count};

}  // namespace aibackend::tasks
")
