package h2

import (
	"testing"

	"golang.org/x/net/http2/hpack"
)

func TestDictionary(t *testing.T) {
	for v, want := range map[string]bool{
		"": true, "u=1": true, "i": true, "u=1, i": true, "u=7,i=?0": true, "u=-1\t,  x=*tok/en:1": true, "a_b-c.*=123456789012345": true,
		"EVIL": false, "u=": false, `x="`: false, "\xff": false, "u=1,,i": false, `"EVIL"`: false, "https,EVIL": false, "u=1,": false, ",u": false,
		"u=1234567890123456": false, "u=?2": false, "u=1;a": false, "u = 1": false, "1": false, "u=1 i": false,
	} {
		if got := dictionary(v); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

// A Priority that a backend may choke on does not get there, and another one does.
func TestTame(t *testing.T) {
	s := &Stream{pool: New(Config{}).Pool("a:1")}
	x := exchangeOf("GET", "/")
	x.Request.Header.Add("Priority", "u=1, i")
	x.Request.Header.Add("priority", "EVIL")
	s.head(x, 0)
	fields, err := hpack.NewDecoder(4096, nil).DecodeFull(s.block)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fields {
		if f.Name == "priority" {
			got = append(got, f.Value)
		}
	}
	if len(got) != 1 || got[0] != "u=1, i" {
		t.Errorf("sent %q", got)
	}
}
