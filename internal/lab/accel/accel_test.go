//go:build linux

package accel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab/accel"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stubTime is what a stub has to start and to say its word, on a busy machine too.
const stubTime = 3 * time.Second

// stub is a QEMU that notes each start and then does what the script says.
type stub struct{ dir, qemu string }

func newStub(t *testing.T, script string) stub {
	t.Helper()
	dir := t.TempDir()
	s := stub{dir, filepath.Join(dir, "qemu")}
	text := fmt.Sprintf("#!/bin/sh\necho start >>%s/starts\n%s\n", dir, script)
	syscall.ForkLock.RLock() // no child has it open for writing, which is "text file busy"
	err := os.WriteFile(s.qemu, []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s stub) starts() int {
	data, _ := os.ReadFile(filepath.Join(s.dir, "starts"))
	return strings.Count(string(data), "start\n")
}

func (s stub) options(t *testing.T) accel.Options {
	t.Helper()
	// Any file may be KVM's device for a stub.
	return accel.Options{Dir: filepath.Join(s.dir, "state"), QEMU: s.qemu, Device: s.qemu, Time: 10 * time.Second}
}

func TestChooseTriesKVM(t *testing.T) {
	tests := []struct {
		name, script string
		time         time.Duration
		want         accel.Accelerator
	}{
		{"works", "echo nicferry-kvm-works", 0, accel.KVM},
		{"aborts", "echo 'error: failed to set MSR 0x48b' >&2; kill -ABRT $$", 0, accel.TCG},
		{"refuses", "echo 'Could not access KVM kernel module' >&2; exit 1", 0, accel.TCG},
		{"ends without a word", "echo 'KVM internal error'", 0, accel.TCG},
		{"hangs", "sleep 600 & wait", stubTime, accel.TCG},
		{"hangs and ignores TERM", "trap '' TERM; sleep 600", stubTime, accel.TCG},
		{"works and then hangs", "echo nicferry-kvm-works; sleep 600", stubTime, accel.KVM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(t, tt.script) // before any fork, which would hold it open for writing
			t.Parallel()
			opts := s.options(t)
			if tt.time != 0 {
				opts.Time = tt.time
			}
			for range 2 { // the second time it is known
				start := time.Now()
				got, err := accel.Choose(t.Context(), opts)
				if err != nil || got != tt.want {
					t.Errorf("chose %q, %v; want %q", got, err, tt.want)
				}
				if took := time.Since(start); took > time.Minute {
					t.Errorf("took %s", took)
				}
			}
			if n := s.starts(); n != 1 {
				t.Errorf("QEMU was started %d times, want once", n)
			}
		})
	}
}

func TestChooseWithoutTheDevice(t *testing.T) {
	s := newStub(t, "echo nicferry-kvm-works")
	opts := s.options(t)
	opts.Device = filepath.Join(s.dir, "kvm")
	if got, err := accel.Choose(t.Context(), opts); err != nil || got != accel.TCG || s.starts() != 0 {
		t.Errorf("chose %q, %v after %d starts of QEMU; want tcg after none", got, err, s.starts())
	}
}

func TestChooseWithoutQEMU(t *testing.T) {
	opts := newStub(t, "").options(t)
	opts.QEMU = filepath.Join(opts.Dir, "none")
	if got, err := accel.Choose(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("chose %q, %v; want to be told of make deps", got, err)
	}
}

// An answer holds for one boot, one QEMU and one kernel, and only if it can be
// read.
func TestChooseAsksAgain(t *testing.T) {
	s := newStub(t, "echo nicferry-kvm-works")
	opts := s.options(t)
	choose := func(want int) {
		t.Helper()
		if got, err := accel.Choose(t.Context(), opts); err != nil || got != accel.KVM || s.starts() != want {
			t.Fatalf("chose %q, %v after %d starts of QEMU; want kvm after %d", got, err, s.starts(), want)
		}
	}
	choose(1)
	file := filepath.Join(opts.Dir, "accelerator.json")
	for n, change := range []func([]byte) []byte{
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `"BootID": "`, `"BootID": "other-`, 1))
		},
		func(b []byte) []byte { return []byte(strings.Replace(string(b), `"kvm"`, `"magic"`, 1)) },
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, change(data), 0o600); err != nil {
			t.Fatal(err)
		}
		choose(n + 2)
	}
	opts.Kernel = guest.Kernel{Version: "7.0"}
	choose(5)
}

func TestChooseEndsWithItsContext(t *testing.T) {
	s := newStub(t, "sleep 600")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if got, err := accel.Choose(ctx, s.options(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("chose %q, %v; want the end of the context", got, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "state")); err == nil {
		t.Error("an answer was kept that nobody gave")
	}
}

// What really is there must be found out within the limit; which of both it is
// depends on the machine.
func TestChooseOnThisMachine(t *testing.T) {
	netnstest.RequireRoot(t)
	kernel, err := guest.FindKernel("")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	got, err := accel.Choose(t.Context(), accel.Options{Dir: t.TempDir(), Kernel: kernel})
	if err != nil || got != accel.KVM && got != accel.TCG {
		t.Fatalf("chose %q, %v", got, err)
	}
	took := time.Since(start)
	if took > time.Minute {
		t.Errorf("took %s", took)
	}
	t.Logf("%s after %s", got, took)
}
