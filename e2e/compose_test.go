//go:build linux

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
)

// Debian's docker-compose; in the long tests the plugin for `docker compose` too,
// which takes minutes to build.
func TestCompose(t *testing.T) {
	script(t, "compose")
	if long() {
		t.Run("plugin", func(t *testing.T) {
			plugin := buildPlugin(t)
			scriptOn(t, "compose", func(r *rig) { r.composePlugin = plugin })
		})
	}
}

// buildPlugin builds Docker's Compose plugin from source and returns its path.
func buildPlugin(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker-compose")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "github.com/docker/compose/v2/cmd")
	cmd.Dir = filepath.Join("..", "tools", "compose")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the Compose plugin: %v\n%s", err, out)
	}
	return path
}

// compose ARG… runs docker-compose or, where the rig has it, the plugin on the
// Compose example, with our engine, our image and our nicferry-wait, and with no
// settings of the user's.
func (r *rig) compose(ctx context.Context, args ...string) (string, error) {
	file, err := filepath.Abs(filepath.Join("..", "examples", "compose", "docker-compose.yml"))
	if err != nil {
		return "", err
	}
	program := []string{"docker-compose"}
	if r.composePlugin != "" {
		if err := r.installPlugin(); err != nil {
			return "", err
		}
		program = []string{"docker", "compose"}
	}
	env := []string{
		"DOCKER_HOST=unix://" + r.node.Engine.Socket(), "DOCKER_CONFIG=" + r.file("cli"), "HOME=" + r.node.Dir(),
		"IMAGE=" + lab.ImageName, "NICFERRY_WAIT=" + filepath.Join(bin, "nicferry-wait"),
	}
	return r.node.Run(ctx, "env", append(append(append(env, program...), "--file", file), args...)...)
}

// installPlugin puts the plugin where docker looks for it. It may be called twice.
func (r *rig) installPlugin() error {
	path := filepath.Join(r.file("cli"), "cli-plugins", "docker-compose")
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Symlink(r.composePlugin, path)
}
