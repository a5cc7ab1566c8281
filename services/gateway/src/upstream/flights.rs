//! Questions that are asked once for everybody who asks them at the same time.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

/// Questions under way and who waits for their answers. A question is asked to its end even when everybody who waits has gone: it is
/// bounded by itself, and the next who asks has its answer.
#[derive(Debug)]
pub(super) struct Flights<K, V>(Arc<Mutex<Flying<K, V>>>);

type Flying<K, V> = HashMap<K, Shared<BoxFuture<'static, V>>>;

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer to the question `key`: of the one under way, or of `ask`.
    pub(super) async fn join<F>(&self, key: K, ask: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight = self.board(key, ask);
        flight.await
    }

    fn board<F>(&self, key: K, ask: impl FnOnce() -> F) -> Shared<BoxFuture<'static, V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flying = lock(&self.0);
        if let Some(flight) = flying.get(&key) {
            return flight.clone();
        }
        let landing = Landing { flying: Arc::clone(&self.0), key: key.clone() };
        let asked = ask();
        let task = tokio::spawn(async move {
            let _landing = landing;
            asked.await
        });
        let flight = settled(task).boxed().shared();
        flying.insert(key, flight.clone());
        flight
    }
}

/// Ends a flight, however it ends: nobody joins it any more.
struct Landing<K: Eq + Hash, V> {
    flying: Arc<Mutex<Flying<K, V>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        lock(&self.flying).remove(&self.key);
    }
}

async fn settled<V>(task: tokio::task::JoinHandle<V>) -> V {
    match task.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is going down, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_asks_at_the_same_time_shares_an_answer_and_who_asks_later_has_another() {
        let (flights, asked, answer) = (Arc::new(Flights::default()), Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (flights, asked, answer) = (Arc::clone(&flights), Arc::clone(&asked), Arc::clone(&answer));
            async move {
                let question = || async move {
                    let count = asked.fetch_add(1, Ordering::SeqCst);
                    answer.notified().await;
                    count
                };
                flights.join("key", question).await
            }
        };
        let (first, second) = (tokio::spawn(ask()), tokio::spawn(ask()));
        tokio::task::yield_now().await;
        answer.notify_waiters();
        answer.notify_one();
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (0, 0));
        answer.notify_one();
        assert_eq!(ask().await, 1);
    }

    #[tokio::test]
    async fn a_question_outlives_who_asked_it() {
        let (flights, done, go) = (Flights::default(), Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let question = || {
            let (done, go) = (Arc::clone(&done), Arc::clone(&go));
            async move {
                go.notified().await;
                done.fetch_add(1, Ordering::SeqCst)
            }
        };
        assert!(flights.join("key", question).now_or_never().is_none(), "dropped while it waits");
        let answer = flights.join("key", question);
        go.notify_one();
        assert_eq!((answer.await, done.load(Ordering::SeqCst)), (0, 1), "the second joined the first");
    }

    #[tokio::test]
    async fn a_question_that_panics_is_asked_again() {
        let flights = Arc::new(Flights::<&str, u32>::default());
        let joined = Arc::clone(&flights);
        assert!(tokio::spawn(async move { joined.join("key", || async { panic!("on purpose") }).await }).await.is_err());
        assert_eq!(flights.join("key", || async { 7 }).await, 7);
    }
}
