// SPDX-License-Identifier: Apache-2.0
#include "cells.hpp"

#include <cmath>

#include "text/json_writer.hpp"
#include <arrow/array.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/base64.h>

namespace sp2dpo::io {

namespace {

void append_number(std::string& to, double number) {
  if (std::isfinite(number))
    text::append_json(to, number);
  else
    to += std::isnan(number) ? "NaN" : "Infinity";  // which the row's reader refuses, by field
}

template <class ArrayType>
auto value(const arrow::Array& array, std::int64_t i) {
  return static_cast<const ArrayType&>(array).GetView(i);
}

void append(std::string& to, const arrow::Array& array, std::int64_t i);

template <class List>
void append_list(std::string& to, const arrow::Array& array, std::int64_t i) {
  const auto& list = static_cast<const List&>(array);
  text::JsonWriter json(to);
  json.open('[');
  for (std::int64_t k = 0; k < list.value_length(i); ++k) {
    json.item();
    append(to, *list.values(), list.value_offset(i) + k);
  }
  json.close(']');
}

void append_struct(std::string& to, const arrow::Array& array, std::int64_t i) {
  const auto& fields = static_cast<const arrow::StructArray&>(array);
  text::JsonWriter json(to);
  json.open('{');
  for (int k = 0; k < fields.num_fields(); ++k) {
    json.key(fields.type()->field(k)->name());
    append(to, *fields.field(k), i);
  }
  json.close('}');
}

void append(std::string& to, const arrow::Array& array, std::int64_t i) {
  if (array.IsNull(i)) {
    to += "null";
    return;
  }
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      to += value<arrow::BooleanArray>(array, i) ? "true" : "false";
      return;
    case arrow::Type::INT8:
      to += std::to_string(value<arrow::Int8Array>(array, i));
      return;
    case arrow::Type::INT16:
      to += std::to_string(value<arrow::Int16Array>(array, i));
      return;
    case arrow::Type::INT32:
      to += std::to_string(value<arrow::Int32Array>(array, i));
      return;
    case arrow::Type::INT64:
      to += std::to_string(value<arrow::Int64Array>(array, i));
      return;
    case arrow::Type::UINT8:
      to += std::to_string(value<arrow::UInt8Array>(array, i));
      return;
    case arrow::Type::UINT16:
      to += std::to_string(value<arrow::UInt16Array>(array, i));
      return;
    case arrow::Type::UINT32:
      to += std::to_string(value<arrow::UInt32Array>(array, i));
      return;
    case arrow::Type::UINT64:
      to += std::to_string(value<arrow::UInt64Array>(array, i));
      return;
    case arrow::Type::FLOAT:
      append_number(to, static_cast<double>(value<arrow::FloatArray>(array, i)));
      return;
    case arrow::Type::DOUBLE:
      append_number(to, value<arrow::DoubleArray>(array, i));
      return;
    case arrow::Type::STRING:
      text::append_json(to, value<arrow::StringArray>(array, i));
      return;
    case arrow::Type::LARGE_STRING:
      text::append_json(to, value<arrow::LargeStringArray>(array, i));
      return;
    case arrow::Type::STRING_VIEW:
      text::append_json(to, value<arrow::StringViewArray>(array, i));
      return;
    case arrow::Type::BINARY:
      text::append_json(to, arrow::util::base64_encode(value<arrow::BinaryArray>(array, i)));
      return;
    case arrow::Type::LARGE_BINARY:
      text::append_json(to, arrow::util::base64_encode(value<arrow::LargeBinaryArray>(array, i)));
      return;
    case arrow::Type::LIST:
      append_list<arrow::ListArray>(to, array, i);
      return;
    case arrow::Type::LARGE_LIST:
      append_list<arrow::LargeListArray>(to, array, i);
      return;
    case arrow::Type::FIXED_SIZE_LIST:
      append_list<arrow::FixedSizeListArray>(to, array, i);
      return;
    case arrow::Type::STRUCT:
      append_struct(to, array, i);
      return;
    case arrow::Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
      append(to, *coded.dictionary(), coded.GetValueIndex(i));
      return;
    }
    case arrow::Type::EXTENSION:
      append(to, *static_cast<const arrow::ExtensionArray&>(array).storage(), i);
      return;
    default: {
      const auto scalar = array.GetScalar(i);
      text::append_json(to, scalar.ok() ? (*scalar)->ToString() : scalar.status().message());
    }
  }
}

}  // namespace

void append_row(std::string& to, const arrow::RecordBatch& batch, std::int64_t row) {
  text::JsonWriter json(to);
  json.open('{');
  for (int k = 0; k < batch.num_columns(); ++k) {
    const auto& column = *batch.column(k);
    if (column.IsNull(row)) continue;
    json.key(batch.column_name(k));
    append(to, column, row);
  }
  json.close('}');
}

}  // namespace sp2dpo::io
