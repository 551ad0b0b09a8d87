//go:build linux

package story

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
)

// A CLI runs a command line tool with arguments and returns what it prints.
type CLI func(ctx context.Context, args ...string) (string, error)

// Create is docker's arguments for a container without a Docker network and
// with the labels; verb is create, or run and its options.
func Create(image, name string, labels []string, verb ...string) []string {
	args := append(verb, "--init", "--network", "none", "--name", name)
	for _, l := range labels {
		args = append(args, "--label", l)
	}
	return append(args, image)
}

// Claim asks the nicferry command for the claim of a container's first NIC.
func Claim(ctx context.Context, nicferry CLI, container string) (api.ClaimView, error) {
	out, err := nicferry(ctx, "get", "claims", "-o", "json")
	if err != nil {
		return api.ClaimView{}, err
	}
	var list api.List[api.ClaimView]
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return api.ClaimView{}, err
	}
	for _, c := range list.Items {
		if c.Container == container {
			return c, nil
		}
	}
	return api.ClaimView{}, fmt.Errorf("no claim of container %s", container)
}

// A Card is what a container has as its eth0.
type Card struct {
	MAC string
	V4  netip.Addr
}

// Look reads a container's card as its own tools see it. Without an IPv4
// address it is an error.
func Look(ctx context.Context, docker CLI, container string) (Card, error) {
	return LookAt(ctx, docker, container, "eth0")
}

// LookAt is Look for another of its interfaces.
func LookAt(ctx context.Context, docker CLI, container, name string) (Card, error) {
	out, err := docker(ctx, "exec", container, "sh", "-ec", "cat /sys/class/net/"+name+"/address; ip -o addr show dev "+name)
	if err != nil {
		return Card{}, err
	}
	mac, rest, _ := strings.Cut(out, "\n")
	for line := range strings.Lines(rest) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[2] == "inet" {
			prefix, err := netip.ParsePrefix(fields[3])
			return Card{mac, prefix.Addr()}, err
		}
	}
	return Card{}, fmt.Errorf("%s has no IPv4 address yet", name)
}
