//go:build race

package saga_test

// longest is how many steps the longest saga has whose every way is gone. With the
// race detector a way takes ten times as long; suite migrate goes all, without it.
const longest = 2
