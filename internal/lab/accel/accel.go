//go:build linux

// Package accel finds out whether KVM really runs a virtual machine here, by
// running one.
package accel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/cpio"
)

// An Accelerator is what runs a guest's instructions.
type Accelerator string

const (
	// KVM runs them on the processor.
	KVM Accelerator = "kvm"
	// TCG translates them: it works everywhere, ten to fifty times slower.
	TCG Accelerator = "tcg"
)

// Args are QEMU's arguments for it.
func (a Accelerator) Args() []string {
	if a == KVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", "tcg,thread=multi", "-cpu", "max"}
}

// DomainType is the type of a libvirt domain that uses it.
func (a Accelerator) DomainType() string {
	if a == KVM {
		return "kvm"
	}
	return "qemu"
}

// CPUMode is the mode of a libvirt domain's cpu element.
func (a Accelerator) CPUMode() string {
	if a == KVM {
		return "host-passthrough"
	}
	return "maximum"
}

const (
	// probeTime bounds a probe. Where KVM works a guest says its word in 1 s.
	probeTime = 10 * time.Second
	word      = "nicferry-kvm-works"
	script    = "#!/bin/busybox sh\necho " + word + "\nexec /bin/busybox poweroff -f\n"
)

// Options say how to probe.
type Options struct {
	// Dir is where the answer is kept until the machine is booted again.
	// Required.
	Dir string
	// Kernel is what the probe boots. Required.
	Kernel guest.Kernel
	// QEMU is the program to probe with. Optional: qemu-system-x86_64.
	QEMU string
	// Device is KVM's. Optional: /dev/kvm.
	Device string
	// Time bounds the probe. Optional: 10 s.
	Time time.Duration
	// Log is told of the answer and its reason. Optional.
	Log *slog.Logger
}

// answer is what is kept.
type answer struct {
	BootID  string
	QEMU    string // path, size and time
	Kernel  string
	Chosen  Accelerator
	Because string
}

// Choose returns KVM if a guest with a stock kernel was seen to run with it, and
// TCG otherwise. It takes at most Options.Time, and no time once there is an
// answer of the same boot, QEMU and kernel. An error means that no answer could
// be found, such as without QEMU.
func Choose(ctx context.Context, opts Options) (Accelerator, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.QEMU == "" {
		opts.QEMU = lab.Lookup("qemu-system-x86_64")
	}
	if opts.Device == "" {
		opts.Device = "/dev/kvm"
	}
	if opts.Time == 0 {
		opts.Time = probeTime
	}
	key, err := opts.key()
	if err != nil {
		return "", fmt.Errorf("choose accelerator: %w", err)
	}
	file := filepath.Join(opts.Dir, "accelerator.json")
	if kept, ok := recall(file); ok && kept.BootID == key.BootID && kept.QEMU == key.QEMU && kept.Kernel == key.Kernel {
		return kept.Chosen, nil
	}
	start := time.Now()
	reason, err := opts.probe(ctx)
	if err != nil {
		return "", fmt.Errorf("choose accelerator: %w", err)
	}
	key.Chosen, key.Because = KVM, "a guest ran"
	if reason != nil {
		key.Chosen, key.Because = TCG, reason.Error()
	}
	opts.Log.InfoContext(ctx, "the accelerator of virtual machines was chosen",
		"accelerator", key.Chosen, "because", key.Because, "took", time.Since(start))
	if err := remember(file, key); err != nil {
		return "", fmt.Errorf("keep chosen accelerator: %w", err)
	}
	return key.Chosen, nil
}

// key is what an answer holds for.
func (o Options) key() (answer, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return answer{}, err
	}
	info, err := os.Stat(o.QEMU)
	if err != nil {
		return answer{}, fmt.Errorf("find QEMU: %w: run `make deps`", err)
	}
	return answer{
		BootID: strings.TrimSpace(string(id)),
		QEMU:   fmt.Sprintf("%s %d %s", o.QEMU, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano)),
		Kernel: o.Kernel.Version,
	}, nil
}

func recall(file string) (answer, bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return answer{}, false
	}
	var kept answer
	if err := json.Unmarshal(data, &kept); err != nil || kept.Chosen != KVM && kept.Chosen != TCG {
		return answer{}, false // half written, or somebody's edit: probe again
	}
	return kept, true
}

func remember(file string, a answer) error {
	data, err := json.MarshalIndent(a, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	fresh := fmt.Sprintf("%s.%d.new", file, os.Getpid())
	if err := os.WriteFile(fresh, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, file)
}

// probe returns why KVM is not to be used, if so. The error is for what says
// nothing about KVM.
func (o Options) probe(ctx context.Context) (reason, err error) {
	if _, err := os.Stat(o.Device); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no %s", o.Device), nil
		}
		return nil, err
	}
	dir, err := os.MkdirTemp("", "nicferry-accel-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	if err := writeInitrd(initrd); err != nil {
		return nil, err
	}
	return o.run(ctx, initrd)
}

func writeInitrd(path string) error {
	busybox := lab.Lookup("busybox")
	if err := lab.CheckStatic(busybox); err != nil {
		return err
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	w := cpio.NewWriter(&buf)
	w.Device("dev/console", 5, 1)
	w.File("bin/busybox", 0o755, data)
	w.File("init", 0o755, []byte(script))
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, buf.Bytes(), 0o600)
}

// run boots the probe. A QEMU that hangs is killed in the end, and with it what
// it started.
func (o Options) run(ctx context.Context, initrd string) (reason, err error) {
	limit, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	args := append(KVM.Args(),
		"-machine", "q35", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "stdio", "-kernel", o.Kernel.Image(), "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1")
	cmd := exec.CommandContext(limit, o.QEMU, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case bytes.Contains(said, []byte(word)):
		return nil, nil
	case limit.Err() != nil:
		return fmt.Errorf("a guest with KVM did not say its word within %s", o.Time), nil
	case err != nil:
		return fmt.Errorf("QEMU with KVM: %w: %s", err, firstLine(said)), nil
	}
	return errors.New("a guest with KVM ended without its word"), nil
}

func firstLine(said []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	return line[:min(len(line), 200)]
}
