# Turns the files of datasets/templates/<name>/ into arrays of the program, so that `thalweg init` needs no files at run
# time. Writes embedded_templates.inc into the build folder and lets tw_datasets see it. Runs at configure time, and again
# whenever one of the files changes.
set(embed_source ${CMAKE_SOURCE_DIR}/datasets/templates)
set(embed_output ${CMAKE_BINARY_DIR}/generated)

file(GLOB embed_folders LIST_DIRECTORIES true CONFIGURE_DEPENDS ${embed_source}/*)
set(embed_text "/* Generated from datasets/templates by cmake/Embed.cmake. */\n")
foreach(folder ${embed_folders})
  if(IS_DIRECTORY ${folder})
    get_filename_component(name ${folder} NAME)
    file(GLOB files CONFIGURE_DEPENDS ${folder}/*)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
    set(table "")
    set(number 0)
    foreach(file ${files})
      get_filename_component(file_name ${file} NAME)
      file(READ ${file} hex HEX)
      string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
      string(REGEX REPLACE "(................................................................................)" "\\1\n"
             bytes "${bytes}")
      string(APPEND embed_text "static const unsigned char tw_embedded_${name}_${number}[] = {\n${bytes}};\n")
      set(array tw_embedded_${name}_${number})
      string(APPEND table "    {\"${file_name}\", ${array}, sizeof ${array}},\n")
      math(EXPR number "${number} + 1")
    endforeach()
    string(APPEND embed_text "static const tw_template_file tw_embedded_${name}[] = {\n${table}};\n")
  endif()
endforeach()

file(MAKE_DIRECTORY ${embed_output})
file(WRITE ${embed_output}/embedded_templates.inc.new "${embed_text}")
configure_file(${embed_output}/embedded_templates.inc.new ${embed_output}/embedded_templates.inc COPYONLY)
target_include_directories(tw_datasets PRIVATE ${embed_output})
