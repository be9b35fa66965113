#pragma once

#include "shadow/document/document.h"
#include "shadow/document/tree.h"

#include <memory_resource>

namespace iotcore::shadow::document {

// The tree of a document. Its texts point into the document, its nodes into `memory`.
void read_sections(
    const Document& document, SectionsView& sections, std::pmr::memory_resource& memory
);

// `now_s`: when the youngest leaf was set.
Document write_document(const SectionsView& sections, std::uint64_t version, std::int64_t now_s);

}  // namespace iotcore::shadow::document
