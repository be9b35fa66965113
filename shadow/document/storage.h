#pragma once

#include "shadow/document/document.h"
#include "shadow/document/tree.h"

#include <memory_resource>

namespace iotcore::shadow::document {

// The tree of a document. Its texts point into the document, its nodes into `memory`.
void read_sections(
    const Document& document, SectionsView& sections, std::pmr::memory_resource& memory
);

// `record.written_s`: when the youngest leaf was set.
Document write_document(const SectionsView& sections, const Record& record);

}  // namespace iotcore::shadow::document
