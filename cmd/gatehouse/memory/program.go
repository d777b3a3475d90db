package memory

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// mapping is a part of the program as it lies in memory.
type mapping struct{ from, to uintptr }

// pristine returns the parts of the program at path that the file alone can
// restore, from the text of smaps (proc_pid_smaps(5)): nothing may write to them,
// and nothing has, neither who loaded the program nor a debugger.
func pristine(smaps io.Reader, path string) (parts []mapping, err error) {
	var at mapping
	ours := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		switch {
		case len(field) >= 5 && !strings.HasSuffix(field[0], ":"):
			at = mapping{}
			_, err := fmt.Sscanf(field[0], "%x-%x", &at.from, &at.to)
			mode := field[1]
			ours = err == nil && len(field) == 6 && field[5] == path && strings.HasPrefix(mode, "r-") && strings.HasSuffix(mode, "p")
		case ours && len(field) == 3 && field[0] == "Anonymous:" && field[1] == "0":
			parts = append(parts, at)
		}
	}
	return parts, lines.Err()
}
