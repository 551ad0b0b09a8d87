//go:build linux

package vmdemo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/nic"
)

func (s *show) killAgent(ctx context.Context) (string, error) {
	node := s.lab.Nodes()[0]
	session, err := s.session(ctx, node.Name)
	if err != nil {
		return "", err
	}
	return s.underPing(ctx, "agent", node.KillAgent, func(ctx context.Context) error {
		if err := node.StartAgent(ctx); err != nil {
			return err
		}
		_, err := story.Until(ctx, "the new agent of "+node.Name, patience, func() (bool, bool, error) {
			now, err := s.session(ctx, node.Name)
			return true, err == nil && now > session, err
		})
		return err
	})
}

// session is the number of the node's agent's starts.
func (s *show) session(ctx context.Context, node string) (uint64, error) {
	out, err := s.lab.CLI(ctx, "get", "nodes", "-o", "json")
	if err != nil {
		return 0, err
	}
	var nodes api.List[nic.Node]
	if err := json.Unmarshal([]byte(out), &nodes); err != nil {
		return 0, err
	}
	for _, n := range nodes.Items {
		if n.Name == node {
			return n.Session, nil
		}
	}
	return 0, fmt.Errorf("the controller knows no node %s", node)
}

func (s *show) killController(ctx context.Context) (string, error) {
	return s.underPing(ctx, "controller", s.lab.KillController, s.lab.StartController)
}

func (s *show) killLibvirt(ctx context.Context) (string, error) {
	host := s.lab.Host()
	return s.underPing(ctx, "libvirtd",
		func(ctx context.Context) error { return host.Kill(ctx, "libvirtd") },
		host.StartLibvirt)
}

// underPing kills something and starts it again while a peer outside of all
// guests pings web.
func (s *show) underPing(ctx context.Context, victim string, kill, start func(context.Context) error) (string, error) {
	ping, err := s.UnderPing(ctx, story.Death{
		Victim: victim, Kill: kill, Start: start,
		Ping: func(ctx context.Context, every, duration time.Duration) (lab.PingResult, error) {
			return s.ping(ctx, s.web.V4, every, duration)
		},
	})
	if err != nil {
		return "", err
	}
	s.Fact("lost while "+victim+" was killed and started again", fmt.Sprintf("%d of %d pings", ping.Lost, ping.Sent), "0")
	return ping.String(), nil
}

func (s *show) restart(ctx context.Context) (string, error) {
	begin := time.Now()
	if _, err := s.docker("vm1")(ctx, "restart", "-t", "1", "web"); err != nil {
		return "", err
	}
	card, err := story.Until(ctx, "eth0 of web", patience, func() (story.Card, bool, error) {
		card, err := story.Look(ctx, s.docker("vm1"), "web")
		return card, err == nil, err
	})
	if err != nil {
		return "", err
	}
	if card != s.web {
		return "", fmt.Errorf("before %s with %s, after %s with %s", s.web.V4, s.web.MAC, card.V4, card.MAC)
	}
	if err := s.answers(ctx, card.V4); err != nil {
		return "", errors.Join(errors.New("after docker restart"), err)
	}
	s.Fact("MAC and address after docker restart", "the same", "the same")
	return fmt.Sprintf("eth0 is back after %s with the same MAC %s and the same address %s", seconds(time.Since(begin)), card.MAC, card.V4), nil
}
