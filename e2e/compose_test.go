//go:build linux

package e2e

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
)

func TestCompose(t *testing.T) { script(t, "compose") }

// compose ARG… runs docker-compose on the Compose example, with our engine, our
// image and our nicferry-wait, and with no settings of the user's.
func (r *rig) compose(ctx context.Context, args ...string) (string, error) {
	file, err := filepath.Abs(filepath.Join("..", "examples", "compose", "docker-compose.yml"))
	if err != nil {
		return "", err
	}
	return r.node.Run(ctx, "env", append([]string{
		"DOCKER_HOST=unix://" + r.node.Engine.Socket(), "DOCKER_CONFIG=" + r.file("cli"), "HOME=" + r.node.Dir(),
		"IMAGE=" + lab.ImageName, "NICFERRY_WAIT=" + filepath.Join(bin, "nicferry-wait"),
		"docker-compose", "--file", file,
	}, args...)...)
}
