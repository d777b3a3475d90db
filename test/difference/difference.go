// Package difference tells tests where two values differ that should be equal.
package difference

import (
	"fmt"
	"reflect"
)

// Between finds where got first differs from full; "" if it does not.
func Between(got, full any) string {
	return difference("", reflect.ValueOf(got), reflect.ValueOf(full))
}

func difference(at string, a, b reflect.Value) string {
	if a.IsValid() != b.IsValid() || a.IsValid() && a.Type() != b.Type() {
		return fmt.Sprintf("at %s: %v, full %v", at, a, b)
	}
	var inner []string
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !a.IsNil() && !b.IsNil() {
			return difference(at, a.Elem(), b.Elem())
		}
	case reflect.Struct:
		for i := range a.NumField() {
			inner = append(inner, difference(at+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i)))
		}
	case reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			inner = append(inner, difference(fmt.Sprintf("%s[%d]", at, i), a.Index(i), b.Index(i)))
		}
		if a.Len() != b.Len() || a.IsNil() != b.IsNil() {
			inner = append(inner, fmt.Sprintf("at %s: %d entries, full %d", at, a.Len(), b.Len()))
		}
	case reflect.Map:
		for _, k := range a.MapKeys() {
			inner = append(inner, difference(fmt.Sprintf("%s[%v]", at, k), a.MapIndex(k), b.MapIndex(k)))
		}
		if a.Len() != b.Len() || a.IsNil() != b.IsNil() {
			inner = append(inner, fmt.Sprintf("at %s: %d entries, full %d", at, a.Len(), b.Len()))
		}
	default:
		if !a.Equal(b) {
			return fmt.Sprintf("at %s: %v, full %v", at, a, b)
		}
		return ""
	}
	for _, d := range inner {
		if d != "" {
			return d
		}
	}
	if pointy := a.Kind() == reflect.Pointer || a.Kind() == reflect.Interface; pointy && a.IsNil() != b.IsNil() {
		return fmt.Sprintf("at %s: %v, full %v", at, a, b)
	}
	return ""
}
