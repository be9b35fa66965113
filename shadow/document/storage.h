#pragma once

#include "shadow/document/document.h"
#include "shadow/document/tree.h"

#include <memory_resource>
#include <string>
#include <string_view>

namespace iotcore::shadow::document {

// The tree of a document. Its texts point into the document, its nodes into `memory`.
void read_sections(
    const Document& document, SectionsView& sections, std::pmr::memory_resource& memory
);

Document write_document(const SectionsView& sections, std::uint64_t version);

}  // namespace iotcore::shadow::document
