//! The libp2p swarm of a Tradepost node as one actor.
