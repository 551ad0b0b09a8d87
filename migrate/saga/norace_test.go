//go:build !race

package saga_test

// longest is how many steps the longest saga has whose every way is gone.
const longest = 3
