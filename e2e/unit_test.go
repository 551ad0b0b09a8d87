//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/slack"
)

// A unit is a systemd unit file: values by "Section.Key", in file order.
type unit map[string][]string

// units is where the unit files are.
var units = filepath.Join("..", "packaging", "systemd")

// readUnit reads a unit file as strictly as systemd is lenient: it would only
// log a key that it does not know, and grant what was to be withheld.
func readUnit(name string) (unit, error) {
	text, err := os.ReadFile(filepath.Join(units, name))
	if err != nil {
		return nil, err
	}
	return parseUnit(name, string(text))
}

func parseUnit(name, text string) (unit, error) {
	u := unit{}
	section := ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !slices.Contains(strings.Fields(knownKeys[section]), key) {
			return nil, fmt.Errorf("%s:%d: %q is no key of section %q that we know", name, number, key, section)
		}
		u[section+"."+key] = append(u[section+"."+key], value)
	}
	return u, nil
}

// knownKeys are the keys that our units may have, as systemd.unit(5),
// systemd.service(5), systemd.exec(5) and systemd.resource-control(5) of
// systemd 252 spell them.
var knownKeys = map[string]string{
	"Unit": "Description Documentation ConditionPathExists After Before Wants StartLimitIntervalSec",
	"Service": `ExecStart Type RemainAfterExit WatchdogSec Restart RestartPreventExitStatus RestartSec TimeoutStartSec TimeoutStopSec TimeoutAbortSec
		RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve StateDirectory StateDirectoryMode UMask
		User Group SupplementaryGroups CapabilityBoundingSet AmbientCapabilities NoNewPrivileges
		ProtectSystem ReadWritePaths ProtectHome PrivateTmp PrivateDevices ProtectControlGroups ProtectKernelLogs
		ProtectKernelModules ProtectKernelTunables ProtectClock ProtectHostname ProtectProc ProcSubset
		RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality
		MemoryDenyWriteExecute TimerSlackNSec SystemCallArchitectures SystemCallFilter SystemCallErrorNumber`,
	"Install": "WantedBy",
}

// one is the key's only value.
func (u unit) one(key string) string { return strings.Join(u[key], "\n") }

// words are all values of a key that is a list.
func (u unit) words(key string) []string { return strings.Fields(strings.Join(u[key], " ")) }

func TestUnits(t *testing.T) {
	agent, err := readUnit("nicferry-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	controller, err := readUnit("nicferryd.service")
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]unit{"agent": agent, "controller": controller} {
		for key, want := range map[string]string{
			"Service.Type": "notify", "Service.Restart": "on-failure", "Service.NoNewPrivileges": "yes",
			"Service.ProtectSystem": "strict", "Service.ProtectHome": "yes", "Service.AmbientCapabilities": "",
			"Service.SystemCallArchitectures": "native",
		} {
			if got, ok := u[key]; !ok || u.one(key) != want {
				t.Errorf("%s: %s is %q, want %q", name, key, got, want)
			}
		}
		if u.one("Service.WatchdogSec") == "" {
			t.Errorf("%s: has no watchdog", name)
		}
	}
	// VFs are made before anything could want one, and what is noted of them is the agent's.
	cards, err := readUnit("nicferry-sriov.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve", "ProtectSystem", "NoNewPrivileges", "SystemCallFilter", "ProtectKernelTunables"} {
		if got, want := cards.one("Service."+key), agent.one("Service."+key); got != want {
			t.Errorf("cards: %s is %q, and the agent's %q", key, got, want)
		}
	}
	for _, right := range cards.words("Service.CapabilityBoundingSet") {
		if !slices.Contains(agent.words("Service.CapabilityBoundingSet"), right) {
			t.Errorf("cards: has %s, which the agent has not", right)
		}
	}
	if cards.one("Service.Type") != "oneshot" || cards.one("Unit.Before") != "nicferry-agent.service docker.service" ||
		cards.one("Service.ExecStart") != "/usr/local/bin/nicferry-agent sriov enable --config "+conf.AgentPath {
		t.Errorf("cards are made by %q before %q", cards.one("Service.ExecStart"), cards.one("Unit.Before"))
	}
	if got, want := agent.one("Service.RestartPreventExitStatus"), strconv.Itoa(daemon.ExitReplaced); got != want {
		t.Errorf("the agent is not started again after %q, want %s", got, want)
	}
	// What the agent keeps for the next one must outlive it, whoever else stops.
	if got, want := agent.one("Service.TimerSlackNSec"), strconv.Itoa(int(slack.Late)); got != want {
		t.Errorf("the agent's timers may be late by %q ns, want %s", got, want)
	}
	if agent.one("Service.RuntimeDirectoryPreserve") != "yes" || controller["Service.RuntimeDirectory"] != nil {
		t.Error("the agent's cache goes with a unit that stops")
	}
	if controller.one("Service.CapabilityBoundingSet") != "" || controller.one("Service.User") != "nicferry" {
		t.Error("the controller has more rights than an account without any")
	}
	for _, broken := range []string{"[Service]\nCapabilityBounding=CAP_SYS_ADMIN\n", "NoNewPrivileges=yes\n", "[Service]\nnonsense\n"} {
		if _, err := parseUnit("broken", broken); err == nil {
			t.Errorf("%q was accepted", broken)
		}
	}
}
