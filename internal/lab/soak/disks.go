//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
)

// giveDisk puts what the agent notes on a small disk of its own, which only the
// machine sees.
func (r *run) giveDisk(ctx context.Context) error {
	dir := r.vm.RunDir()
	_, err := r.vm.Machine.Run(ctx, "sh", "-ec", "mkdir -m 700 "+dir+"; mount -t tmpfs -o size=1m,mode=700 tmpfs "+dir)
	return err
}

// agentsDiskFull leaves the agent no room for its notes.
func agentsDiskFull(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	pause, ballast := r.some(rng), r.vm.RunDir()+"/ballast"
	// It ends because there is no room for more.
	if _, err := r.vm.Machine.Run(ctx, "sh", "-c", "head -c 2m /dev/zero > "+ballast+" && exit 1 || true"); err != nil {
		return "", err
	}
	err := retry.Sleep(ctx, pause)
	_, rmErr := r.vm.Machine.Run(ctx, "rm", ballast)
	return fmt.Sprintf("for %s", pause), errors.Join(err, rmErr)
}

// agentsDiskReadOnly lets the agent write no notes.
func agentsDiskReadOnly(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	pause := r.some(rng)
	// The kernel refuses while a note is being written.
	err := lab.Until(ctx, "the agent's disk to be read-only", patience, 5*time.Millisecond, func(ctx context.Context) error {
		return r.remount(ctx, "ro")
	})
	if err != nil {
		return "", err
	}
	err = retry.Sleep(ctx, pause)
	return fmt.Sprintf("for %s", pause), errors.Join(err, r.remount(ctx, "rw"))
}

func (r *run) remount(ctx context.Context, how string) error {
	_, err := r.vm.Machine.Run(ctx, "mount", "-o", "remount,"+how, r.vm.RunDir())
	return err
}

// storeReadOnly kills the controller, whose next start finds that it cannot write its
// records: it must say no, and not begin with others.
func storeReadOnly(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	pause, records, machine := r.some(rng), r.fleet.StorePath(), r.fleet.Machine
	r.look.gone(controller)
	if err := r.fleet.KillController(ctx); err != nil {
		return "", err
	}
	// Mounted over itself, it is read-only for this machine alone.
	if _, err := machine.Run(ctx, "sh", "-ec", "mount --bind "+records+" "+records+"; mount -o remount,bind,ro "+records); err != nil {
		return "", err
	}
	err := errors.Join(r.refusedStart(ctx), retry.Sleep(ctx, pause))
	if _, umountErr := machine.Run(ctx, "umount", "--lazy", records); err != nil || umountErr != nil {
		return "", errors.Join(err, umountErr)
	}
	if err := r.fleet.StartController(ctx); err != nil {
		return "", err
	}
	r.runs(controller)
	return fmt.Sprintf("refused at its start, and away for %s more", pause), nil
}

// refusedStart starts a controller, which must not serve.
func (r *run) refusedStart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := r.fleet.Machine.Run(ctx, r.fleet.Program("nicferryd"), "--config", r.fleet.ConfigPath())
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil
	}
	return fmt.Errorf("nicferryd did not refuse a read-only store with exit code 1: %v", err)
}
