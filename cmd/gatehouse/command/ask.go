package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// admins is the admin addresses of running gateways to ask.
type admins []string

func (a *admins) add(c *cobra.Command) {
	c.Flags().StringSliceVar((*[]string)(a), "admin-address", []string{"127.0.0.1:9901"}, "admin address of the running gateway to ask; several for several replicas")
}

// all are those to ask: "", which ask refuses, where none was given.
func (a admins) all() []string {
	if len(a) == 0 {
		return []string{""}
	}
	return a
}

// maxAnswer bounds what is read of an answer: the table of 10,000 rules has 6 MiB.
const maxAnswer = 256 << 20

// ask sends body, or nothing for a GET, to one gateway and decodes its answer.
func ask(ctx context.Context, address, path string, body, into any) error {
	if address == "" {
		return errors.New("no gateway is named; give --admin-address HOST:PORT")
	}
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		method, content = http.MethodPost, bytes.NewReader(b)
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(address, "/")+path, content)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no gateway answers: %w; in a cluster, run this in its pod (kubectl exec) or forward the port (kubectl port-forward)", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", address, err)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", address, bytes.TrimSpace(text))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answers as no gateway does, or too much: %w; is it the --admin-address of one?", address, err)
	}
	return nil
}
