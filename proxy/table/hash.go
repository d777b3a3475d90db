package table

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"reflect"
	"slices"
	"strings"
)

// Hash identifies the table's content, as 64 hexadecimal digits: it is the same
// for equal tables in any process, and another as soon as any value differs,
// secrets included. It reveals nothing of them.
func (t *Table) Hash() string {
	sum := Sum(t)
	return hex.EncodeToString(sum[:])
}

// Sum hashes the content of any part of a table. Pointers count as what they
// point to; nil and empty lists are the same.
func Sum(v any) [32]byte {
	s := summer{hash: sha256.New()}
	s.value(reflect.ValueOf(v))
	return [32]byte(s.hash.Sum(nil))
}

// summer writes values in a form no two different ones share: each is preceded
// by its kind, lists and strings by their length.
type summer struct {
	hash hash.Hash
	buf  [9]byte
}

func (s *summer) word(kind reflect.Kind, n uint64) {
	s.buf[0] = byte(kind)
	binary.BigEndian.PutUint64(s.buf[1:], n)
	s.hash.Write(s.buf[:])
}

func (s *summer) bytes(kind reflect.Kind, b []byte) {
	s.word(kind, uint64(len(b)))
	s.hash.Write(b)
}

func (s *summer) value(v reflect.Value) {
	if v.IsValid() && v.Kind() == reflect.Struct {
		if m, ok := v.Interface().(encoding.BinaryMarshaler); ok { // net/netip keeps its fields to itself
			b, err := m.MarshalBinary()
			if err != nil {
				b = []byte(err.Error())
			}
			s.bytes(reflect.Struct, b)
			return
		}
	}
	switch k := v.Kind(); k {
	case reflect.Pointer:
		if v.IsNil() {
			s.word(k, 0)
			return
		}
		s.word(k, 1)
		s.value(v.Elem())
	case reflect.Struct:
		s.word(k, uint64(v.NumField()))
		for i := range v.NumField() {
			s.value(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		s.list(k, v)
	case reflect.Map:
		s.pairs(v)
	case reflect.String:
		s.bytes(k, []byte(v.String()))
	case reflect.Bool:
		n := uint64(0)
		if v.Bool() {
			n = 1
		}
		s.word(k, n)
	case reflect.Float32, reflect.Float64:
		s.word(k, math.Float64bits(v.Float()))
	default:
		if v.CanInt() {
			s.word(k, uint64(v.Int()))
		} else if v.CanUint() {
			s.word(k, v.Uint())
		} else {
			s.word(k, 0)
		}
	}
}

func (s *summer) list(k reflect.Kind, v reflect.Value) {
	if k == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		s.bytes(k, v.Bytes())
		return
	}
	s.word(k, uint64(v.Len()))
	for i := range v.Len() {
		s.value(v.Index(i))
	}
}

// pairs writes a map of strings by key.
func (s *summer) pairs(v reflect.Value) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	s.word(reflect.Map, uint64(len(keys)))
	for _, k := range keys {
		s.value(k)
		s.value(v.MapIndex(k))
	}
}
