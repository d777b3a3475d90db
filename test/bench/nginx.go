package main

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed nginx.conf
var nginxConf string

// startNginx serves what splitManifest says, on the proxies' CPU.
func startNginx(ctx context.Context, b *bench, port int, backends []int) (*process, error) {
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	conf, err := os.Create(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		return nil, err
	}
	defer conf.Close()
	t, err := template.New("nginx.conf").Parse(nginxConf)
	if err != nil {
		return nil, err
	}
	if err := t.Execute(conf, map[string]any{"Dir": dir, "Port": port, "Site": backends[0], "API": backends[1]}); err != nil {
		return nil, err
	}
	p, err := launch(b.dir, proxyCPU, nil, "nginx", "-p", dir, "-c", conf.Name())
	if err != nil {
		return nil, err
	}
	if err := p.opened(ctx, local(port)); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}
