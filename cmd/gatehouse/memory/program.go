package memory

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// mapping is a part of the program as it lies in memory.
type mapping struct{ from, to uintptr }

// parts returns the parts of the program at path that nothing may write to, from
// the text of maps (proc_pid_maps(5)).
func parts(maps io.Reader, path string) (all []mapping, err error) {
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) != 6 || field[5] != path || !strings.HasPrefix(field[1], "r-") || !strings.HasSuffix(field[1], "p") {
			continue
		}
		var m mapping
		if _, err := fmt.Sscanf(field[0], "%x-%x", &m.from, &m.to); err == nil {
			all = append(all, m)
		}
	}
	return all, lines.Err()
}

// What an entry of pagemap says of its page (proc_pid_pagemap(5)).
const (
	present  = 1 << 63
	swapped  = 1 << 62
	ofFile   = 1 << 61
	entryLen = 8
)

// count returns how many of the pages with these entries of pagemap are in memory,
// and whether the file alone can restore them: nothing has written to any, neither
// who loaded the program nor a debugger.
func count(entries []byte) (pages int, pristine bool) {
	pristine = true
	for ; len(entries) >= entryLen; entries = entries[entryLen:] {
		e := binary.NativeEndian.Uint64(entries)
		if e&present != 0 {
			pages++
		}
		if e&swapped != 0 || e&present != 0 && e&ofFile == 0 {
			pristine = false
		}
	}
	return pages, pristine
}
