package proxy

import (
	"bytes"
	"io"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// What a request holds of its content counts until its end, at which all is given back.
func TestContentThatIsHeldCounts(t *testing.T) {
	o := &Options{Memory: 64 << 20}
	o.defaults()
	d, err := newDoor(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	begin := func() *exchange.Exchange {
		x := &exchange.Exchange{Conn: &exchange.Conn{}}
		if _, ok := d.begin(x); !ok {
			t.Fatal("refused")
		}
		x.Request.Body = &exchange.Buffered{Content: bytes.Repeat([]byte{' '}, 5<<20)}
		return x
	}
	first, second := begin(), begin()
	if _, err := first.Hold(nil, 16<<20, nil); err != nil {
		t.Fatal(err)
	}
	if in := d.content.Figures().In; in < 5<<20 {
		t.Errorf("%d bytes count as held", in)
	}
	if _, err := second.Hold(nil, 16<<20, nil); err == nil || !d.busy(second.Conn) {
		t.Errorf("an eighth of 64 MiB holds 10 MiB: %v", err)
	}
	if p, err := second.Request.Body.Next(); len(p) != 5<<20 || err != nil && err != io.EOF {
		t.Errorf("%d bytes can still be read: %v", len(p), err)
	}
	d.end(second, nil)
	d.end(first, nil)
	if f := d.content.Figures(); f.In != 0 || f.Refused != 1 {
		t.Errorf("%+v", f)
	}
}

// Where there is no limit on requests there is none on those that wait, over any protocol; a low
// one leaves room for a page.
func TestAwaited(t *testing.T) {
	for requests, want := range map[int]int{-1: 0, 0: 0, 1: few, few: few, 5000: 5000} {
		if got := awaited(requests); got != want {
			t.Errorf("%d requests: %d, want %d", requests, got, want)
		}
	}
}
