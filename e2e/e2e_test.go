//go:build linux

package e2e

import "testing"

func TestDHCP(t *testing.T)                 { script(t, "dhcp") }
func TestF60_WaitedForByName(t *testing.T)  { script(t, "F60_slow_dhcp") }
func TestLeaseMTU(t *testing.T)             { script(t, "lease_mtu") }
func TestStatic(t *testing.T)               { script(t, "static") }
func TestRefused(t *testing.T)              { script(t, "refused") }
func TestFullNode(t *testing.T)             { script(t, "full") }
func TestRestart(t *testing.T)              { script(t, "restart") }
func TestTwoNICs(t *testing.T)              { script(t, "two") }
func TestPreplug(t *testing.T)              { script(t, "preplug") }
func TestPool(t *testing.T)                 { script(t, "pool") }
func TestP4_KillUnderPing(t *testing.T)     { script(t, "P4_kill_under_ping") }
func TestF53_GoneWhileAway(t *testing.T)    { script(t, "F53_gone_while_away") }
func TestF30_HostileContainer(t *testing.T) { script(t, "F30_hostile_container") }
func TestF46_RestartLoop(t *testing.T)      { script(t, "F46_restart_loop") }
func TestExamples(t *testing.T)             { script(t, "examples") }
func TestPauseAndPolicies(t *testing.T)     { script(t, "pause_and_policies") }
func TestF43_StalledStream(t *testing.T)    { script(t, "F43_stalled_stream") }
func TestF44_EngineRestart(t *testing.T)    { script(t, "F44_engine_restart") }
func TestF44_EngineKilled(t *testing.T)     { script(t, "F44_engine_killed") }
func TestF55_Burst(t *testing.T)            { scriptAlone(t, "F55_burst") }
func TestF56_EngineBoot(t *testing.T)       { scriptAlone(t, "F56_engine_boot") }
func TestImageLabels(t *testing.T)          { script(t, "image_labels") }
func TestF32_S12_StrayProcess(t *testing.T) { script(t, "F32_stray_process") }
func TestF63_AddressConflict(t *testing.T)  { script(t, "conflict") }
func TestIPv6FromTheWire(t *testing.T)      { script(t, "ipv6_from_the_wire") }
func TestNames(t *testing.T)                { script(t, "names") }
func TestInvariants(t *testing.T)           { script(t, "invariants") }
func TestSuperseded(t *testing.T)           { script(t, "superseded") }
