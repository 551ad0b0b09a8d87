//go:build linux

package sriov

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/guesttest"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
	"github.com/nicferry/nicferry/sriov"
)

// libvirt knows no end of its event loop.
func TestMain(m *testing.M) {
	guesttest.Main(m, goleak.IgnoreAnyFunction("github.com/nicferry/nicferry/internal/virt.runLoop"))
}

// patience bounds a boot and all that is done in the guest after it.
const patience = 10 * time.Minute

// The guest's cards. Each is in a slot below a port of its own, on switches that
// nothing else is on.
const (
	first  = sriov.Address("0000:01:00.0")
	second = sriov.Address("0000:02:00.0")
)

// programs is where the guest sees the programs that are tested.
const programs = "/mnt/nicferry"

// A host is a guest with two cards, in the hands of one test.
type host struct {
	*guest.Client
	t   *testing.T
	bin string // where the guest sees nicferry's programs
}

// boot starts a guest, which goes with the test. More are arguments of QEMU.
func boot(t *testing.T, more ...string) *host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	m := guesttest.Boot(ctx, t, guesttest.Options{
		Boot: protocol.Boot{
			Hostname: "metal", Modules: []string{"igb", "igbvf", "vfio-pci", "8021q", "bonding"}, Kernel: []string{"intel_iommu=on"},
		},
		MemoryMiB: 768,
		Exports:   []guest.Export{{Tag: "nicferry", Path: agent(ctx, t), Mount: programs}},
		Args:      append(cards(), more...),
	})
	start := time.Now()
	if err := m.AwaitUp(ctx); err != nil {
		t.Fatalf("%v\n%s", err, m.Said(t))
	}
	t.Logf("the guest serves commands %s after QEMU's start", time.Since(start).Round(100*time.Millisecond))
	return &host{Client: m.Client, t: t, bin: programs}
}

// agent builds the agent into a directory, which is returned.
func agent(ctx context.Context, t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir, "./cmd/nicferry-agent")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, out)
	}
	return dir
}

// cards are an IOMMU and two cards.
func cards() []string {
	args := []string{"-device", "intel-iommu"}
	for i, port := range []string{"02.0,multifunction=on", "02.1"} {
		args = append(args,
			"-device", fmt.Sprintf("pcie-root-port,id=port%d,chassis=%d,addr=%s", i, i+1, port),
			"-netdev", fmt.Sprintf("hubport,id=switch%d,hubid=%d", i, i),
			"-device", fmt.Sprintf("igb,bus=port%d,netdev=switch%d,romfile=,mac=52:54:00:00:01:0%d", i, i, i))
	}
	return args
}

// sh runs a script in the guest and returns what it prints, without the last
// line's end.
func (h *host) sh(format string, args ...any) string {
	h.t.Helper()
	return guesttest.Sh(h.t, h.Client, format, args...)
}

// sriov runs nicferry-agent sriov and returns all that it prints, and its exit
// code.
func (h *host) sriov(args ...string) (said string, code int) {
	h.t.Helper()
	var out strings.Builder
	cmd := h.Command(h.t.Context(), append([]string{h.bin + "/nicferry-agent", "sriov"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	exit, ended := errors.AsType[*guest.ExitError](err)
	if err != nil && !ended {
		h.t.Fatal(err)
	}
	if ended {
		code = exit.Code
	}
	return out.String(), code
}

// want runs nicferry-agent sriov, which must end so, and say that.
func (h *host) want(code int, says string, args ...string) {
	h.t.Helper()
	start := time.Now()
	said, got := h.sriov(args...)
	if got != code || !strings.Contains(said, says) {
		h.t.Errorf("sriov %s: exit %d, want %d, with %q:\n%s", strings.Join(args, " "), got, code, says, said)
	}
	h.t.Logf("sriov %s, after %s:\n%s", strings.Join(args, " "), time.Since(start).Round(10*time.Millisecond), said)
}

// cards are what the agent says is there.
func (h *host) cards() []sriov.PF {
	h.t.Helper()
	said, code := h.sriov("list", "-o", "json")
	var all api.List[sriov.PF]
	if err := json.Unmarshal([]byte(said), &all); err != nil || code != 0 {
		h.t.Fatalf("exit %d, %v:\n%s", code, err, said)
	}
	return all.Items
}

// card is one of them.
func (h *host) card(a sriov.Address) sriov.PF {
	h.t.Helper()
	for _, pf := range h.cards() {
		if pf.Address == a {
			return pf
		}
	}
	h.t.Fatalf("there is no card %s", a)
	return sriov.PF{}
}

// until asks the guest again and again until the script is true.
func (h *host) until(what, script string) {
	h.t.Helper()
	err := lab.Until(h.t.Context(), what, time.Minute, 100*time.Millisecond, func(ctx context.Context) error {
		return h.Command(ctx, "sh", "-ec", script).Run()
	})
	if err != nil {
		h.t.Fatal(err)
	}
}
