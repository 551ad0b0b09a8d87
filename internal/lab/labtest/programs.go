//go:build linux

package labtest

import (
	"fmt"
	"os"
	"os/exec"
)

// Programs builds all of nicferry's programs out of the module at root, without
// C, into a directory of its own, which remove removes.
func Programs(root string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "nicferry-e2e-")
	if err != nil {
		return "", nil, err
	}
	build := exec.Command("go", "build", "-trimpath", "-o", dir, "./cmd/...")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir) // the build's error says more
		return "", nil, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
