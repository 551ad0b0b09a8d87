//go:build linux

package vm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Containers share a NIC by ipvlan, or have VLANs of a trunk, which the guests' kernel has
// and not every machine's that builds us: the rooms' own tests run in a guest, in namespaces
// of their own there.
func TestSeatsOnAGuestsKernel(t *testing.T) {
	r := use(t)
	n := r.node(1)
	r.sh(n, "modprobe -a ipvlan 8021q")
	for _, room := range []string{"device", "ferry"} {
		program := filepath.Join(t.TempDir(), room)
		cmd := exec.Command("go", "test", "-c", "-o", program, "./vmagent/"+room)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s: %v\n%s", room, err, out)
		}
		text, err := os.ReadFile(program)
		r.must(err)
		there := "/run/tests-" + room
		r.must(n.Put(t.Context(), there, 0o755, bytes.NewReader(text)))
		out := r.sh(n, fmt.Sprintf("cd /run; CI=true %s -test.v -test.run 'Seat|Member|BoundSocket|F31' -test.timeout 5m 2>&1 || echo FAILED; rm %s", there, there))
		if strings.Contains(out, "FAILED") || strings.Contains(out, "has no ipvlan") || strings.Contains(out, "has no VLANs") ||
			!strings.Contains(out, "--- PASS: TestSeats") || !strings.Contains(out, "--- PASS: TestMembers") {
			t.Errorf("%s, in a guest:\n%s", room, out)
		}
	}
}
