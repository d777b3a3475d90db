package memory

import (
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestParts(t *testing.T) {
	const maps = `00400000-0045a000 r-xp 00000000 fe:00 247026                             /usr/bin/gatehouse
0045a000-0049c000 r--p 0005a000 fe:00 247026                             /usr/bin/gatehouse
0049c000-004a0000 rw-p 0009c000 fe:00 247026                             /usr/bin/gatehouse
004a0000-004b0000 r--s 0009c000 fe:00 247026                             /usr/bin/gatehouse
7f0000000000-7f0000001000 r-xp 00000000 fe:00 99                         /usr/lib/libc.so.6
c000000000-c000400000 rw-p 00000000 00:00 0
`
	got, err := parts(strings.NewReader(maps), "/usr/bin/gatehouse")
	if want := []mapping{{0x400000, 0x45a000}, {0x45a000, 0x49c000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %x, %v; want %x", got, err, want)
	}
}

// TestCount: what somebody has written to is not taken out.
func TestCount(t *testing.T) {
	for name, c := range map[string]struct {
		entries  []uint64
		pages    int
		pristine bool
	}{
		"of the file":                 {[]uint64{0, present | ofFile | 5, 0, present | ofFile}, 2, true},
		"not in memory":               {[]uint64{0, ofFile}, 0, true},
		"written to":                  {[]uint64{present | ofFile, present | 5}, 2, false},
		"written to, and swapped out": {[]uint64{present | ofFile, swapped | 5}, 1, false},
	} {
		var text []byte
		for _, e := range c.entries {
			text = binary.NativeEndian.AppendUint64(text, e)
		}
		if pages, pristine := count(text); pages != c.pages || pristine != c.pristine {
			t.Errorf("%s: %d, %v", name, pages, pristine)
		}
	}
}

// TestUnload: the program runs on without its pages, and with fewer of them.
func TestUnload(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	before := resident(t)
	unload(1 << 30)
	if same := resident(t); same < before {
		t.Errorf("%d KiB of the program are in memory, %d before, which was not too much", same, before)
	}
	unload(0)
	if after := resident(t); after >= before || before == 0 {
		t.Errorf("%d KiB of the program are in memory, %d before", after, before)
	}
}

// resident returns how many KiB of this program's code are in memory.
func resident(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), " r-xp ")
	if !ok || !strings.Contains(strings.SplitN(text, "\n", 2)[0], path) {
		t.Fatalf("the first code in memory is not %s", path)
	}
	_, rss, _ := strings.Cut(text, "Rss:")
	for _, c := range strings.TrimSpace(strings.SplitN(rss, "kB", 2)[0]) {
		n = 10*n + int(c-'0')
	}
	return n
}
