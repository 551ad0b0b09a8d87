//go:build linux

package sriov

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// peers are a NIC of the guest's on each of the cards' switches, as the other end of
// the wire.
func peers() (args []string) {
	for i := range 2 {
		args = append(args, "-netdev", fmt.Sprintf("hubport,id=peer%d,hubid=%d", i, i),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=peer%d,romfile=,addr=1%d.0,mac=52:54:00:00:02:0%d", i, i+1, i))
	}
	return args
}

// The rooms' own tests on a real card and on a kernel with bonds: what a PF sets and
// gets back, a MAC that takes effect after the driver is bound anew, and bonds over
// two cards.
func TestF30_F31_F38_FunctionsOfRealCards(t *testing.T) {
	t.Parallel() // each guest has one processor
	h := boot(t, peers()...)
	for _, a := range []string{string(first), string(second)} {
		h.want(0, "has 2 VFs", "enable", a, "--vfs", "2")
	}
	h.sh("modprobe -a sch_ingress cls_bpf dummy veth bridge")
	names := make([]string, 2)
	for i := range names {
		names[i] = h.sh("basename $(dirname $(grep -l 52:54:00:00:02:0%d /sys/class/net/*/address))", i)
	}
	env := fmt.Sprintf("CI=true NICFERRY_CARD=%s NICFERRY_PEER=%s NICFERRY_CARDS='%s %s' NICFERRY_PEERS='%s'",
		first, names[0], first, second, strings.Join(names, " "))
	for _, room := range []struct{ folder, run, mustRun string }{
		{"sriov/vf", "ACard", "TestF31_F38_ACard"},
		{"internal/link", "Bond", "TestBondIsReadAsItWasMade"},
		// What needs neither cards nor bonds is suite base's.
		{"vmagent/ferry", "Bond|Functions", "TestBondInAndOut"},
		{"vmagent", "Bond", "TestBondThatLosesAMemberTellsOfIt"},
		{"vmagent/device", "Bond", "TestF30_BondOfRealCards"}, // last: it takes the peers
	} {
		t.Run(room.folder, func(t *testing.T) {
			h := &host{Client: h.Client, t: t, bin: h.bin}
			out := h.room(room.folder, room.run, env)
			if strings.Contains(out, "FAILED") || strings.Contains(out, "has no bonds") || !strings.Contains(out, "--- PASS: "+room.mustRun) {
				t.Errorf("in the guest:\n%s\n%s", out, h.sh("dmesg | tail -30"))
			}
			t.Log(out)
		})
	}
}

// room runs a room's own tests in the guest.
func (h *host) room(folder, run, env string) string {
	h.t.Helper()
	program := filepath.Join(h.t.TempDir(), "tests")
	cmd := exec.CommandContext(h.t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", program, "./"+folder)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("build the tests of %s: %v\n%s", folder, err, out)
	}
	text, err := os.ReadFile(program)
	if err == nil {
		err = h.Put(h.t.Context(), "/run/tests", 0o755, bytes.NewReader(text))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return h.sh("cd /run; %s /run/tests -test.v -test.run '%s' -test.timeout 4m 2>&1 || echo FAILED; rm /run/tests", env, run)
}
