// SPDX-License-Identifier: Apache-2.0

// Package pubsub joins the bus to Watermill: a Publisher that pipelines and a
// Subscriber that keeps order through failures, for reactors that run behind a
// Watermill router.
//
// # Usage
//
//	pub := pubsub.NewPublisher(b, pubsub.PublisherConfig{Dedup: true})
//	sub, err := pubsub.NewSubscriber(b, pubsub.SubscriberConfig{
//		Group: "settler", Mode: pubsub.Keyed, Lanes: 16,
//		Retry: pubsub.Backoff(100*time.Millisecond, 30*time.Second, 0),
//	})
//	router.AddConsumerHandler("settle", "ballast.*.share.found.*", sub, func(m *message.Message) error {
//		ev, err := pubsub.EventOf(m)
//		…
//	})
//
// A topic is a NATS subject: exact to publish to, exact or with wildcards to
// subscribe to. The stream is the one that stores the subject; it must exist.
//
// # Order
//
// Ordered handles one message at a time. Keyed handles up to Lanes at a time
// and those of one key (the subject, unless SubscriberConfig.Key says
// otherwise) one after the other. In both a negative acknowledgement is
// retried in place, after the delay that Retry gives, so nothing overtakes it.
// Unordered handles up to Window messages at once and gives a failed one back
// to the server, which delivers it again after the delay, to whichever
// instance asks. Several instances may share a Group only in Unordered mode:
// the server hands neighbouring messages to different instances.
//
// # Concurrency
//
// Publisher and Subscriber are safe for concurrent use. Close of either waits
// for what it has begun and leaves no goroutine behind.
package pubsub
