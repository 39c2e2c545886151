# Writes OUT, a C++ source with every migration of FOLDER, in the order of their numbers. Run by the build:
#   cmake -D FOLDER=… -D OUT=… -P embed_migrations.cmake
file(GLOB files ${FOLDER}/*.sql)
list(SORT files)
set(rows "")
set(expected 1)
foreach(file ${files})
  get_filename_component(stem ${file} NAME_WE)
  if(NOT stem MATCHES "^([0-9][0-9][0-9][0-9])_([a-z0-9_]+)$")
    message(FATAL_ERROR "${file}: a migration is named NNNN_what_it_does.sql")
  endif()
  set(name ${CMAKE_MATCH_2})
  string(REGEX REPLACE "^0+" "" version ${CMAKE_MATCH_1})
  if(NOT version EQUAL expected)
    message(FATAL_ERROR "${file}: the next migration's number is ${expected}")
  endif()
  math(EXPR expected "${expected} + 1")
  file(READ ${file} sql)
  string(APPEND rows "    {${version}, \"${name}\", R\"migration(${sql})migration\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT [[
// Made by embed_migrations.cmake of server/storage/migrations/*.sql.
#include "server/storage/migrations.h"

namespace aibackend::storage {
namespace {

constexpr Migration kMigrations[] = {
@rows@};

}  // namespace

absl::Span<const Migration> EmbeddedMigrations() {
  return kMigrations;
}

}  // namespace aibackend::storage
]])
