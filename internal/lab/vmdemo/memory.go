//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
)

// cycles is how often vm1's slots are filled and emptied again.
const cycles = 5

// cycle fills and empties vm1's slots again and again, and demands that the
// kernel's memory for NICs comes back: what it cannot reclaim, which is the one
// of its numbers that moves by little but by devices. What is available moves by
// a hundred times what a NIC takes, with each program that starts.
func (s *show) cycle(ctx context.Context) (string, error) {
	labels := []string{"nicferry.network=lab"}
	for n := 1; n < ports; n++ {
		labels = append(labels, fmt.Sprintf("nicferry.nic.eth%d=network=lab", n))
	}
	var full, gone []state
	for n := range cycles {
		name := fmt.Sprintf("cycle%d", n)
		if err := s.make(ctx, "vm1", name, created, labels...); err != nil {
			return "", err
		}
		at, err := s.rests(ctx, s.empty.PCI+ports)
		if err != nil {
			return "", err
		}
		full = append(full, at)
		if _, err := s.docker("vm1")(ctx, "rm", "-f", name); err != nil {
			return "", err
		}
		if at, err = s.rests(ctx, s.empty.PCI); err != nil {
			return "", err
		}
		gone = append(gone, at)
	}
	if err := s.allGone(ctx); err != nil {
		return "", err
	}
	takes, keeps := kept(full, gone)
	if takes <= 0 || keeps > takes/2 {
		return "", fmt.Errorf("vm1's kernel keeps %.0f KiB of each %d NICs that were plugged in and unplugged, which take %.0f KiB: with them %+v, without %+v",
			keeps, ports, takes, full, gone)
	}
	s.Fact(fmt.Sprintf("vm1's kernel keeps of each %d NICs that come and go", ports), fmt.Sprintf("%.0f of %.0f KiB", keeps, takes), "less than half")
	return fmt.Sprintf("%d NICs take %.0f KiB of kernel memory that cannot be reclaimed; %.0f KiB stay of each time they come and go", ports, takes, max(0, keeps)), nil
}

// kept is what NICs take of the kernel's memory, and how much more of it is in use
// each time that they have gone, both in KiB. The first time fills caches, so
// it is left out.
func kept(full, gone []state) (takes, keeps float64) {
	for n := 1; n < len(full); n++ {
		takes += float64(full[n].KernelKiB-gone[n].KernelKiB) / float64(len(full)-1)
	}
	return takes, float64(gone[len(gone)-1].KernelKiB-gone[0].KernelKiB) / float64(len(gone)-1)
}

// rests waits until vm1 has so many PCI devices, and its kernel's memory stays as
// it is.
func (s *show) rests(ctx context.Context, devices int) (state, error) {
	const settle = 300 * time.Millisecond
	before := state{}
	return story.Until(ctx, fmt.Sprintf("vm1 to have %d PCI devices", devices), patience, func() (state, bool, error) {
		now, err := s.state(ctx, "vm1")
		if err == nil && now.PCI == devices && now.KernelKiB <= before.KernelKiB {
			return now, true, nil
		}
		if before = now; now.PCI != devices {
			before.KernelKiB = 0
			err = fmt.Errorf("it has %d", now.PCI)
		}
		return now, false, errors.Join(err, retry.Sleep(ctx, settle))
	})
}

// allGone waits until the controller has neither NICs nor claims.
func (s *show) allGone(ctx context.Context) error {
	_, err := story.Until(ctx, "all claims and NICs to be gone", patience, func() (bool, bool, error) {
		nics, err := s.names(ctx, "nics")
		claims, err2 := s.names(ctx, "claims")
		if err := errors.Join(err, err2); err != nil || len(nics)+len(claims) == 0 {
			return true, err == nil, err
		}
		left := fmt.Errorf("there are %s", strings.Join(append(nics, claims...), ", "))
		return false, false, errors.Join(left, retry.Sleep(ctx, askEvery))
	})
	return err
}
