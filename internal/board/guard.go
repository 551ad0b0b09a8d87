//go:build !weak

package board

// fenced refuses an agent that another has taken the place of. The build tag weak
// switches it off, and the tests for F65 must notice.
const fenced = true
