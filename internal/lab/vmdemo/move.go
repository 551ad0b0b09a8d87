//go:build linux

package vmdemo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// moveThere and moveBack take web to the other guest and back, with its NIC.
func (s *show) moveThere(ctx context.Context) (string, error) { return s.migrate(ctx, "vm1", "vm2") }

func (s *show) moveBack(ctx context.Context) (string, error) { return s.migrate(ctx, "vm2", "vm1") }

// migrate moves web while a peer outside of all guests pings it.
func (s *show) migrate(ctx context.Context, from, to string) (string, error) {
	watch, err := lab.WatchFrom(ctx, s.lan, s.web.V4, 10*time.Millisecond)
	if err != nil {
		return "", err
	}
	move, err := s.migrateHeard(ctx, watch, to)
	ping, silences, endErr := watch.End()
	if err := errors.Join(err, endErr); err != nil {
		return "", err
	}
	if ping.Received < 100 || len(silences) == 0 {
		return "", fmt.Errorf("the peer has hardly pinged: %s", ping)
	}
	if err := s.onlyOn(ctx, from, to); err != nil {
		return "", err
	}
	s.Figures.Pings["move to "+to] = ping
	silence := seconds(silences[0].For())
	s.Fact("migrate "+from+" → "+to+": silence, as a peer outside sees it", silence, "")
	s.Fact("  pings lost in it, at 10 ms", fmt.Sprint(silences[0].Lost), "")
	s.Fact("  MAC, address and lease", "the same", "the same")
	return fmt.Sprintf("moved in %s, silent for %s of it, in which %d of %d pings were lost; %d were lost besides:\n%s\n"+
		"web runs on %s alone, with the same MAC %s and the same address %s; its NIC was unplugged and plugged in",
		seconds(move.Ended.Sub(move.Created)), silence, silences[0].Lost, ping.Sent, ping.Lost-silences[0].Lost,
		split(move), to, s.web.MAC, s.web.V4), nil
}

// migrateHeard moves web once the peer has its first replies, and returns when it
// has some from the other guest.
func (s *show) migrateHeard(ctx context.Context, watch *lab.Watch, to string) (move nic.Move, err error) {
	if err := watch.Heard(ctx, patience); err != nil {
		return move, err
	}
	out, err := s.lab.CLI(ctx, "migrate", "web", "--to", to, "--layer", "copy", "-o", "json")
	if err != nil {
		return move, err
	}
	if err := json.Unmarshal([]byte(out), &move); err != nil {
		return move, fmt.Errorf("read the move: %w", err)
	}
	if move.Phase != nic.MoveDone {
		return move, fmt.Errorf("the move is %s: %s", move.Phase, move.Why)
	}
	return move, watch.Heard(ctx, patience)
}

// onlyOn demands that web is on one guest, as it was on the other.
func (s *show) onlyOn(ctx context.Context, from, to string) error {
	card, err := s.bound(ctx, to, "web")
	if err != nil {
		return err
	}
	if card != s.web {
		return fmt.Errorf("before %s with %s, after %s with %s", s.web.V4, s.web.MAC, card.V4, card.MAC)
	}
	left, err := s.docker(from)(ctx, "ps", "-aq", "--filter", "name=^web$")
	if err == nil && left != "" {
		err = fmt.Errorf("%s still has web, as %s", from, left)
	}
	if err != nil {
		return err
	}
	for guest, want := range map[string]bool{from: false, to: true} {
		xml, err := s.lab.Host().Run(ctx, "virsh", s.virsh([]string{"dumpxml", guest})...)
		if err == nil && strings.Contains(xml, card.MAC) != want {
			err = fmt.Errorf("%s has a card with MAC %s: %t; want %t", guest, card.MAC, !want, want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// split is how long each step took by the move's own record.
func split(move nic.Move) string {
	var steps []string
	for _, step := range move.Steps {
		steps = append(steps, fmt.Sprintf("%s %.2f", step.Name, step.Ended.Sub(step.Began).Seconds()))
	}
	return strings.Join(steps, ", ") + " s"
}
