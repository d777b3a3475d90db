package forward

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// TestPipes has more pipes come back than are kept.
func TestPipes(t *testing.T) {
	var s pipes
	s.put(nil)
	var got []*socket.Pipe
	for range len(s) + 2 {
		p := s.get()
		if p == nil {
			t.Fatal("no pipe")
		}
		got = append(got, p)
	}
	for _, p := range got {
		s.put(p)
	}
	for i := range s {
		if p := s.get(); p != got[i] {
			t.Errorf("pipe %d was not kept", i)
		}
		got[i].Close()
	}
}
