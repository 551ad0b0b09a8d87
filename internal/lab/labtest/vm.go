//go:build linux

package labtest

import (
	"fmt"
	"os"
	"os/exec"
)

// BuildForVMs builds nicferry's programs out of the module at root into dir, those that
// speak to libvirt with it.
func BuildForVMs(root, dir string) error {
	for _, b := range []struct {
		env  string
		args []string
	}{
		{"CGO_ENABLED=1", []string{"-tags=libvirt,libvirt_dlopen", "./cmd/nicferryd", "./cmd/nicferry-lab"}},
		{"CGO_ENABLED=0", []string{"./cmd/nicferry", "./cmd/nicferry-agent", "./cmd/nicferry-wait"}},
	} {
		cmd := exec.Command("go", append([]string{"build", "-trimpath", "-o", dir + "/"}, b.args...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), b.env)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	}
	return nil
}
