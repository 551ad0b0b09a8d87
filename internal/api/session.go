package api

import "context"

// SessionHeader carries an agent's session number with every call about its
// node, so that an agent which another has replaced is refused whatever it asks.
// A call without it is a person's, or of an agent that does not know it.
const SessionHeader = "Nicferry-Session"

type (
	sessionKey struct{}
	joinKey    struct{}
)

// WithSession notes in the context of a call which session of its node's agent
// the caller says it is; 0 is none.
func WithSession(ctx context.Context, session uint64) context.Context {
	return context.WithValue(ctx, sessionKey{}, session)
}

// SessionOf is what WithSession has noted; 0 is none.
func SessionOf(ctx context.Context) uint64 {
	session, _ := ctx.Value(sessionKey{}).(uint64)
	return session
}

// WithJoin notes which of its node's joins the caller's certificate stems from;
// 0 is none.
func WithJoin(ctx context.Context, join uint64) context.Context {
	return context.WithValue(ctx, joinKey{}, join)
}

// JoinOf is what WithJoin has noted; 0 is none.
func JoinOf(ctx context.Context) uint64 {
	join, _ := ctx.Value(joinKey{}).(uint64)
	return join
}
