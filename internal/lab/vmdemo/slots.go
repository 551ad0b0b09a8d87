//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// A state is what a guest's kernel says of its devices.
type state struct {
	PCI, Interrupts, Links int
	// AvailableKiB moves with every program; KernelKiB is of slabs that the kernel
	// cannot take back while they are in use.
	AvailableKiB, KernelKiB int
}

// state asks the guest's kernel.
func (s *show) state(ctx context.Context, guest string) (state, error) {
	out, err := s.inGuest(guest)(ctx, "sh", "-ec", `ls /sys/bus/pci/devices | wc -l
		grep -c virtio /proc/interrupts
		ls /sys/class/net | wc -l
		awk '/^MemAvailable|^SUnreclaim/ {print $2}' /proc/meminfo`)
	if err != nil {
		return state{}, err
	}
	var st state
	_, err = fmt.Sscan(out, &st.PCI, &st.Interrupts, &st.Links, &st.AvailableKiB, &st.KernelKiB)
	return st, err
}

// tapsAndCards counts, with foreign tools, the taps on the machine that the
// guests run on, and our NICs in the guest's definition.
func (s *show) tapsAndCards(ctx context.Context, guest string) (taps, cards int, err error) {
	out, err := s.lab.Host().Run(ctx, "ls", "/sys/class/net")
	if err != nil {
		return 0, 0, err
	}
	xml, err := s.lab.Host().Run(ctx, "virsh", s.virsh([]string{"dumpxml", guest})...)
	return strings.Count(out, "vnet"), strings.Count(xml, aliasPrefix) + strings.Count(xml, cloudPrefix), err
}

// aliasPrefix is that of our NICs in a domain's definition, and cloudPrefix that
// of the cloud's.
const (
	aliasPrefix = "<alias name='ua-nicferry-"
	cloudPrefix = "<alias name='ua-eni-"
)

// quiet is how long nothing may be made for a request that was refused.
const quiet = 2 * time.Second

// tooMany fills vm1, and asks for one NIC more than it has room for.
func (s *show) tooMany(ctx context.Context) (string, error) {
	for _, name := range []string{"third", "fourth"} {
		if err := s.make(ctx, "vm1", name, created, "nicferry.network=lab"); err != nil {
			return "", err
		}
		if _, err := s.plugged(ctx, name); err != nil {
			return "", err
		}
	}
	var err error
	if s.full, err = s.state(ctx, "vm1"); err != nil {
		return "", err
	}
	nics, err := s.names(ctx, "nics")
	if err != nil {
		return "", err
	}
	taps, cards, err := s.tapsAndCards(ctx, "vm1")
	if err != nil {
		return "", err
	}
	if cards != ports {
		return "", fmt.Errorf("vm1 has %d NICs of ours, want %d", cards, ports)
	}
	if err := s.make(ctx, "vm1", "fifth", created, "nicferry.network=lab"); err != nil {
		return "", err
	}
	claim, err := s.claimed(ctx, "fifth", "the claim of fifth to be refused", func(c api.ClaimView) bool {
		return c.Phase == nic.ClaimRefused && len(c.Conditions) > 0
	})
	if err != nil {
		return "", err
	}
	why := claim.Conditions[0].Message
	if want := fmt.Sprintf("vm1: 0 of %d hot-plug slots free", ports); !strings.Contains(why, want) {
		return "", fmt.Errorf("refused with %q, want %q", why, want)
	}
	if err := retry.Sleep(ctx, quiet); err != nil {
		return "", err
	}
	nowNICs, err := s.names(ctx, "nics")
	nowTaps, nowCards, err2 := s.tapsAndCards(ctx, "vm1")
	if err := errors.Join(err, err2); err != nil {
		return "", err
	}
	if !slices.Equal(nics, nowNICs) || taps != nowTaps || cards != nowCards {
		return "", fmt.Errorf("something was made for a refused request: NICs %q, then %q; taps %d, then %d; in vm1 %d, then %d",
			nics, nowNICs, taps, nowTaps, cards, nowCards)
	}
	s.Fact("made for a request beyond the free slots", "no NIC, no tap", "nothing")
	return fmt.Sprintf("four are served; the fifth is refused: %s\nnothing was made for it: still %d NICs on record, %d taps, %d NICs in vm1", why, len(nics), taps, cards), nil
}

// makeRoom frees one slot, which the refused request gets by itself.
func (s *show) makeRoom(ctx context.Context) (string, error) {
	begin := time.Now()
	if _, err := s.docker("vm1")(ctx, "rm", "-f", "third"); err != nil {
		return "", err
	}
	claim, err := s.plugged(ctx, "fifth")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the fifth has its NIC, %s, %s after docker rm began", claim.Identity.MAC, seconds(time.Since(begin))), nil
}

// remove removes all containers and waits until all that was theirs is gone.
func (s *show) remove(ctx context.Context) (string, error) {
	if err := s.promises(ctx); err != nil {
		return "", err
	}
	begin := time.Now()
	group, gctx := errgroup.WithContext(ctx)
	for guest, names := range map[string][]string{"vm1": {"web", "db", "fourth", "fifth"}, "vm2": {"app", "cache"}} {
		group.Go(func() error {
			_, err := s.docker(guest)(gctx, append([]string{"rm", "-f"}, names...)...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	docker := time.Since(begin)
	if err := s.allGone(ctx); err != nil {
		return "", err
	}
	took := time.Since(begin)
	for _, guest := range guests {
		taps, cards, err := s.tapsAndCards(ctx, guest)
		if err != nil || cards != 0 || taps != len(guests) {
			return "", errors.Join(err, fmt.Errorf("%s has %d NICs of ours, and there are %d taps, want 0 and %d", guest, cards, taps, len(guests)))
		}
	}
	s.Fact("docker rm → all NICs are unplugged and deleted", seconds(took), "")
	return s.freed(ctx, fmt.Sprintf("six NICs are unplugged %s after docker rm began, which itself took %s", seconds(took), seconds(docker)))
}

// freed holds vm1's kernel against what it said at first.
func (s *show) freed(ctx context.Context, result string) (string, error) {
	now, err := story.Until(ctx, "vm1 to be as it was", goTime, func() (state, bool, error) {
		now, err := s.state(ctx, "vm1")
		same := now.PCI == s.empty.PCI && now.Interrupts == s.empty.Interrupts && now.Links == s.empty.Links
		return now, err == nil && same, errors.Join(err, fmt.Errorf("vm1 has %d PCI devices, %d virtio interrupts and %d links; at first it had %d, %d and %d",
			now.PCI, now.Interrupts, now.Links, s.empty.PCI, s.empty.Interrupts, s.empty.Links))
	})
	if err != nil {
		return "", err
	}
	if s.full.PCI != now.PCI+ports || s.full.Interrupts <= now.Interrupts {
		return "", fmt.Errorf("with %d NICs vm1 had %d PCI devices and %d virtio interrupts, now %d and %d", ports, s.full.PCI, s.full.Interrupts, now.PCI, now.Interrupts)
	}
	across := func(get func(state) int) string {
		return fmt.Sprintf("%d, %d, %d", get(s.empty), get(s.full), get(now))
	}
	s.Fact("vm1, at first, with 4 NICs, at the end: PCI devices", across(func(s state) int { return s.PCI }), "the first again")
	s.Fact("  virtio interrupts", across(func(s state) int { return s.Interrupts }), "the first again")
	s.Fact("  kernel memory that cannot be reclaimed, KiB", across(func(s state) int { return s.KernelKiB }), "")
	s.Fact("  memory available, KiB", across(func(s state) int { return s.AvailableKiB }), "")
	return result + "\nvm1 has no PCI device, interrupt or link of theirs any more", nil
}
