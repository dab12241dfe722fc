/**
 * Adapter folders as AdapterHub's library writes and reads them. Knows files and keys; what a
 * method's configuration means is said by that method's own {@link
 * io.peft4j.adapters.adapterhub.AdapterHubInterchange}.
 */
@NullMarked
package io.peft4j.adapters.adapterhub;

import org.jspecify.annotations.NullMarked;
