//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// The containers that want so many NICs together, each so many.
const crowd, ofEach = 9, mostNICs / 9

// manyTime is how long a guest may take to see so many that shares its processors.
const manyTime = 4 * time.Minute

// many fills vm1 with all NICs that its type takes, counts them, and takes them out.
func (s *show) many(ctx context.Context) (result string, err error) {
	plan, err := s.lab.CLI(ctx, "plan", "vpc", "--type", bigType)
	if err != nil || !strings.Contains(plan, fmt.Sprintf(": %d", mostNICs)) {
		return "", errors.Join(err, fmt.Errorf("of %d NICs it says nothing: %s", mostNICs, plan))
	}
	labels := []string{"nicferry.network=vpc"}
	for n := 1; n < ofEach; n++ {
		labels = append(labels, fmt.Sprintf("nicferry.nic.eth%d=network=vpc", n))
	}
	var names []string
	defer func() {
		if err != nil { // for what comes later
			_, gone := s.docker(host)(ctx, append([]string{"rm", "-f"}, names...)...)
			err = errors.Join(err, gone)
		}
	}()
	begin := time.Now()
	for n := range crowd {
		// One after another: a guest that is emulated and told of many cards at once takes
		// longer to see the last than it is waited for.
		names = append(names, fmt.Sprintf("many%d", n+1))
		if err := s.make(ctx, host, names[n], created, labels...); err != nil {
			return "", err
		}
		if err := s.allPlugged(ctx, (n+1)*ofEach); err != nil {
			return "", err
		}
	}
	took := time.Since(begin)
	_, cards, err := s.tapsAndCards(ctx, host)
	if err != nil || cards != mostNICs {
		return "", errors.Join(err, fmt.Errorf("vm1 has %d cards, want %d", cards, mostNICs))
	}
	if s.full, err = s.state(ctx, host); err != nil {
		return "", err
	}
	begin = time.Now()
	if _, err := s.docker(host)(ctx, append([]string{"rm", "-f"}, names...)...); err != nil {
		return "", err
	}
	if err := s.allReturned(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d beside its own: plugged in within %s, by the API of ECS, and all unplugged %s after docker rm", mostNICs, seconds(took), seconds(time.Since(begin))), nil
}

// allPlugged waits until so many NICs of containers that do not run are found in vm1.
func (s *show) allPlugged(ctx context.Context, want int) error {
	_, err := story.Until(ctx, fmt.Sprintf("%d NICs in vm1", want), manyTime, func() (bool, bool, error) {
		claims, err := s.claims(ctx)
		ready := 0
		for _, c := range claims {
			if c.Observed != nil && c.Observed.State == nic.ObservedMade {
				ready++
			}
		}
		if err == nil && ready == want {
			return true, true, nil
		}
		return false, false, errors.Join(err, fmt.Errorf("there are %d", ready), retry.Sleep(ctx, 4*askEvery))
	})
	return err
}

// claims are the controller's.
func (s *show) claims(ctx context.Context) ([]api.ClaimView, error) {
	return listed[api.ClaimView](ctx, s.lab.CLI, "claims")
}

// frees removes what runs on vm1, whose kernel then has no more than at first.
func (s *show) frees(ctx context.Context) (string, error) {
	booted, err := s.sh(ctx, "cat /proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	if _, err := s.docker(host)(ctx, "rm", "-f", "dhcp", "vip", "app", "two", "far"); err != nil {
		return "", err
	}
	now, err := story.Until(ctx, "vm1 to be as it was", patience, func() (state, bool, error) {
		now, err := s.state(ctx, host)
		same := now.PCI == s.empty.PCI && now.Interrupts == s.empty.Interrupts && now.Links == s.empty.Links
		return now, err == nil && same, errors.Join(err, fmt.Errorf("vm1 has %+v, and had %+v", now, s.empty), retry.Sleep(ctx, askEvery))
	})
	if err != nil {
		return "", err
	}
	if still, err := s.sh(ctx, "cat /proc/sys/kernel/random/boot_id"); err != nil || still != booted {
		return "", errors.Join(err, errors.New("vm1 has booted anew"))
	}
	if s.full.PCI != s.empty.PCI+mostNICs || s.full.Interrupts <= s.empty.Interrupts || s.full.KernelKiB <= now.KernelKiB {
		return "", fmt.Errorf("with %d NICs vm1 had %+v, without %+v, and at first %+v", mostNICs, s.full, now, s.empty)
	}
	across := func(get func(state) int) string {
		return fmt.Sprintf("%d, %d, %d", get(s.empty), get(s.full), get(now))
	}
	return fmt.Sprintf("vm1 at first, with %d NICs of S1-1, and now: PCI devices %s; virtio interrupts %s; KiB of kernel memory that cannot be reclaimed %s; it has not booted",
		mostNICs, across(func(s state) int { return s.PCI }), across(func(s state) int { return s.Interrupts }), across(func(s state) int { return s.KernelKiB })), nil
}
