package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of JSON content, beside its size: they bound what it takes to
// check it. Schemas compare numbers exactly, so that nine bytes such as 1e1000000
// would take a tenth of a second.
const (
	maxDepth    = 64
	maxValues   = 1 << 16
	maxNumber   = 1024 // bytes of one
	maxExponent = 400  // of ten, either way; a double ends at 308
)

// endOfInput is what encoding/json says of text that is cut off.
const endOfInput = "unexpected end of JSON input"

// fault is the first thing that is wrong with JSON text.
type fault struct {
	line, column int // from 1; the column counts bytes
	what         string
}

// parser reads JSON (RFC 8259) into the values the schemas check.
type parser struct {
	data   []byte
	d      *json.Decoder
	values int
}

// parse reads the whole of data. What encoding/json forgives is refused: names
// that come twice, of which another reader may take the other one, text that is
// not UTF-8, anything after the value.
func parse(data []byte) (any, *fault) {
	p := &parser{data: data, d: json.NewDecoder(bytes.NewReader(data))}
	p.d.UseNumber()
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, n := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return nil, p.at(int64(at), "not UTF-8")
	}
	v, err := p.value(0)
	if err == nil {
		if _, more := p.d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	if err == nil {
		return v, nil
	}
	// A decoder that was asked for tokens counts from the last one; asked for the
	// whole it says where the fault is.
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax) && errors.As(json.Unmarshal(data, &json.RawMessage{}), &syntax) && syntax.Error() != endOfInput:
		return nil, p.at(syntax.Offset-1, syntax.Error())
	case syntax != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, p.at(int64(len(data)), "it ends too soon")
	}
	return nil, p.at(p.d.InputOffset(), err.Error())
}

func (p *parser) at(offset int64, what string) *fault {
	before := p.data[:min(max(offset, 0), int64(len(p.data)))]
	return &fault{bytes.Count(before, []byte("\n")) + 1, len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1, what}
}

func (p *parser) value(depth int) (any, error) {
	t, err := p.d.Token()
	if err != nil {
		return nil, err
	}
	if p.values++; p.values > maxValues {
		return nil, fmt.Errorf("more than %d values", maxValues)
	}
	if n, ok := t.(json.Number); ok && !exact(string(n)) {
		return nil, errors.New("a number that is too large, too small or too long")
	}
	open, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	if open == '[' {
		return p.array(depth + 1)
	}
	return p.object(depth + 1)
}

// exact reports whether a number is one that can be compared exactly at little cost.
func exact(number string) bool {
	if len(number) > maxNumber {
		return false
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.Atoi(number[at+1:])
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}

func (p *parser) array(depth int) (any, error) {
	list := []any{}
	for p.d.More() {
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.d.Token()
	return list, err
}

func (p *parser) object(depth int) (any, error) {
	members := map[string]any{}
	for p.d.More() {
		t, err := p.d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, errors.New("a name must be text")
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("the name %.64q comes twice", name)
		}
		if members[name], err = p.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := p.d.Token()
	return members, err
}
