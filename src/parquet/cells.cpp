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
    to += std::isnan(number) ? "NaN"
                             : "Infinity";  // the row's reader rejects these and names the field
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

/// Appends a boolean or a number; returns false for every other type.
bool append_scalar(std::string& to, const arrow::Array& array, std::int64_t i) {
  const auto integer = [&]<class ArrayType>(const ArrayType& integers) {
    to += std::to_string(integers.GetView(i));
    return true;
  };
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      to += value<arrow::BooleanArray>(array, i) ? "true" : "false";
      return true;
    case arrow::Type::INT8:
      return integer(static_cast<const arrow::Int8Array&>(array));
    case arrow::Type::INT16:
      return integer(static_cast<const arrow::Int16Array&>(array));
    case arrow::Type::INT32:
      return integer(static_cast<const arrow::Int32Array&>(array));
    case arrow::Type::INT64:
      return integer(static_cast<const arrow::Int64Array&>(array));
    case arrow::Type::UINT8:
      return integer(static_cast<const arrow::UInt8Array&>(array));
    case arrow::Type::UINT16:
      return integer(static_cast<const arrow::UInt16Array&>(array));
    case arrow::Type::UINT32:
      return integer(static_cast<const arrow::UInt32Array&>(array));
    case arrow::Type::UINT64:
      return integer(static_cast<const arrow::UInt64Array&>(array));
    case arrow::Type::FLOAT:
      append_number(to, static_cast<double>(value<arrow::FloatArray>(array, i)));
      return true;
    case arrow::Type::DOUBLE:
      append_number(to, value<arrow::DoubleArray>(array, i));
      return true;
    default:
      return false;
  }
}

/// Appends text, or bytes as base64; returns false for every other type.
bool append_text(std::string& to, const arrow::Array& array, std::int64_t i) {
  switch (array.type_id()) {
    case arrow::Type::STRING:
      text::append_json(to, value<arrow::StringArray>(array, i));
      return true;
    case arrow::Type::LARGE_STRING:
      text::append_json(to, value<arrow::LargeStringArray>(array, i));
      return true;
    case arrow::Type::STRING_VIEW:
      text::append_json(to, value<arrow::StringViewArray>(array, i));
      return true;
    case arrow::Type::BINARY:
      text::append_json(to, arrow::util::base64_encode(value<arrow::BinaryArray>(array, i)));
      return true;
    case arrow::Type::LARGE_BINARY:
      text::append_json(to, arrow::util::base64_encode(value<arrow::LargeBinaryArray>(array, i)));
      return true;
    default:
      return false;
  }
}

void append(std::string& to, const arrow::Array& array, std::int64_t i) {
  if (array.IsNull(i)) {
    to += "null";
    return;
  }
  if (append_scalar(to, array, i) || append_text(to, array, i)) return;
  switch (array.type_id()) {
    case arrow::Type::LIST:
      return append_list<arrow::ListArray>(to, array, i);
    case arrow::Type::LARGE_LIST:
      return append_list<arrow::LargeListArray>(to, array, i);
    case arrow::Type::FIXED_SIZE_LIST:
      return append_list<arrow::FixedSizeListArray>(to, array, i);
    case arrow::Type::STRUCT:
      return append_struct(to, array, i);
    case arrow::Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
      return append(to, *coded.dictionary(), coded.GetValueIndex(i));
    }
    case arrow::Type::EXTENSION:
      return append(to, *static_cast<const arrow::ExtensionArray&>(array).storage(), i);
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
