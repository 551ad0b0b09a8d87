//go:build linux

package e2e

import "testing"

func TestDHCP(t *testing.T)                 { script(t, "dhcp") }
func TestStatic(t *testing.T)               { script(t, "static") }
func TestRefused(t *testing.T)              { script(t, "refused") }
func TestFullNode(t *testing.T)             { script(t, "full") }
func TestRestart(t *testing.T)              { script(t, "restart") }
func TestTwoNICs(t *testing.T)              { script(t, "two") }
func TestP4_KillUnderPing(t *testing.T)     { script(t, "P4_kill_under_ping") }
func TestF53_GoneWhileAway(t *testing.T)    { script(t, "F53_gone_while_away") }
func TestF30_HostileContainer(t *testing.T) { script(t, "F30_hostile_container") }
func TestF46_RestartLoop(t *testing.T)      { script(t, "F46_restart_loop") }
func TestExamples(t *testing.T)             { script(t, "examples") }
func TestSuperseded(t *testing.T)           { script(t, "superseded") }
