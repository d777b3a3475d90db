package load

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed wrk.lua
var wrkLua string

// wrk runs the program of that name with one thread.
func wrk(ctx context.Context, s Spec) (Totals, error) {
	script := wrkLua
	if s.Body > 0 {
		script = fmt.Sprintf("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", %d)\n", s.Body) + script
	}
	f, err := os.CreateTemp("", "bench-*.lua")
	if err != nil {
		return Totals{}, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(script)
	if err := errors.Join(err, f.Close()); err != nil {
		return Totals{}, err
	}
	args := []string{
		"-t1", "-c" + strconv.Itoa(s.Connections), "-d" + strconv.Itoa(max(1, int(s.Seconds+0.5))) + "s",
		"-s", f.Name(), "-H", "Host: " + s.Host,
	}
	for _, h := range s.Headers {
		args = append(args, "-H", h)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, "http://"+s.Address+s.Path)...).CombinedOutput()
	if err != nil {
		return Totals{}, fmt.Errorf("%w: %s", err, out)
	}
	return parseWrk(out)
}

// parseWrk reads the last line of what wrk wrote, which is wrk.lua's.
func parseWrk(out []byte) (Totals, error) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var w struct{ Requests, Microseconds, Refused, Broken, Bytes int64 }
	if err := json.Unmarshal(lines[len(lines)-1], &w); err != nil {
		return Totals{}, fmt.Errorf("it wrote %q: %w", out, err)
	}
	return Totals{Requests: w.Requests - w.Refused, Failed: w.Refused + w.Broken, Microseconds: w.Microseconds, Bytes: w.Bytes}, nil
}

// h2load runs the program of that name with one thread.
func h2load(ctx context.Context, s Spec) (Totals, error) {
	args := []string{
		"-t1", "-c" + strconv.Itoa(s.Connections), "-m" + strconv.Itoa(max(1, s.Streams)),
		"-D", strconv.Itoa(int(s.Seconds*1000)) + "ms", "--connect-to=" + s.Address,
	}
	if s.HTTP1 {
		args = append(args, "--h1")
	}
	if s.Body > 0 {
		f, err := os.CreateTemp("", "bench-*.body")
		if err != nil {
			return Totals{}, err
		}
		defer os.Remove(f.Name())
		_, err = f.Write(message(s))
		if err := errors.Join(err, f.Close()); err != nil {
			return Totals{}, err
		}
		args = append(args, "-d", f.Name())
	}
	for _, h := range s.Headers {
		args = append(args, "-H", h)
	}
	_, port, _ := strings.Cut(s.Address, ":")
	out, err := exec.CommandContext(ctx, "h2load", append(args, "https://"+s.Host+":"+port+s.Path)...).CombinedOutput()
	if err != nil {
		return Totals{}, fmt.Errorf("%w: %s", err, out)
	}
	return parseH2load(out)
}

// parseH2load reads h2load's summary. Requests that were under way when the time
// was up count neither as answered nor as failed.
func parseH2load(out []byte) (t Totals, err error) {
	find := func(pattern string) [][]byte { return regexp.MustCompile(pattern).FindSubmatch(out) }
	took := find(`finished in ([0-9.]+)(us|ms|s),`)
	counts := find(`requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	status := find(`status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	if took == nil || counts == nil || status == nil {
		return t, fmt.Errorf("it wrote %q", out)
	}
	d, err := time.ParseDuration(string(took[1]) + string(took[2]))
	if err != nil {
		return t, err
	}
	t.Microseconds = d.Microseconds()
	number := func(b []byte) int64 {
		n, _ := strconv.ParseInt(string(b), 10, 64) // the patterns take digits only
		return n
	}
	t.Requests = number(status[1])
	for _, n := range [][]byte{counts[2], counts[3], counts[4], status[2], status[3], status[4]} {
		t.Failed += number(n)
	}
	return t, nil
}

// message is what carries s.Body bytes: as they are or, for gRPC, with the five
// bytes of its framing.
func message(s Spec) []byte {
	if s.Path != EchoPath {
		return bytes.Repeat([]byte("x"), s.Body)
	}
	return grpcMessage(s.Body)
}
