//go:build linux && !weak

package tasks

// askFirst is switched off by the build tag weak, for a test that shows that
// TestF65_AWokenAgentAsksFirst notices.
const askFirst = true
